#pragma once
#include <cstdio>
void setup();
void loop();
inline void delay(unsigned long) {}
struct Console {
  void print(const char *text) { std::fputs(text, stdout); }
};
inline Console Serial;
