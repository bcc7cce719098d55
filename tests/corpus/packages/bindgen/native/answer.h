#include <stddef.h>
#include <stdint.h>
uint64_t answer(const char *question, size_t length);
