// The log and the setup of a port: generic Cortex-M, where nothing is logged without a callback, or any other.
#include "tensorflow/lite/micro/micro_log.h"

#include <cstdarg>
#include <cstdio>

#include "tensorflow/lite/micro/system_setup.h"

#ifdef STUB_GENERIC_CORTEX_M

static void (*callback)(const char *) = nullptr;

extern "C" void RegisterDebugLogCallback(void (*registered)(const char *)) { callback = registered; }

static void DebugLog(const char *text) {
  if (callback) callback(text);
}

#else

static bool initialized = false;

static void DebugLog(const char *text) {
  if (initialized) printf("%s", text);
}

#endif

void tflite::InitializeTarget() {
#ifndef STUB_GENERIC_CORTEX_M
  initialized = true;
#endif
}

void MicroPrintf(const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  DebugLog(text);
  DebugLog("\n");
}
