#include "corpus-cxx-build/native/answer.h"
std::int32_t answer() { return 42; }
