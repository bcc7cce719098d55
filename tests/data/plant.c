#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
static long call(long number, long a, long b, long c, long d) {
#ifdef __x86_64__
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#endif
}
static void nothing(void) {}
static void (*leave_a_file(void))(void) {
  char program[4096], path[8192];
  long end = call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)program, sizeof program);
  long start = end, at = 0;
  while (start > 0 && program[start - 1] != '/') start--;
  for (const char *from = MARKER; *from; from++) path[at++] = *from;
  while (start < end) path[at++] = program[start++];
  path[at] = 0;
  call(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_WRONLY, 0644);
  return nothing;
}
void planted(void) __attribute__((ifunc("leave_a_file")));
void planted_too(void) { planted(); }
unsigned la_version(unsigned version) { return version; }
