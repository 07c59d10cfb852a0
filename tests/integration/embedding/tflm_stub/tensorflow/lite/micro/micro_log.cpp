#include "tensorflow/lite/micro/micro_log.h"

#include <cstdarg>
#include <cstdio>

void MicroPrintf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
}
