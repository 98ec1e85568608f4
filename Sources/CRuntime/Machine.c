#define _GNU_SOURCE
#include "CRuntime.h"

#include <sched.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

void ingot_set_stop(int64_t *word, int64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }

int32_t ingot_call(
    const void *entry, const ingot_context *context, const void *const *inputs, void **outputs, const void *constants,
    void *arena, int64_t *symbols) {
  return ((ingot_entry)(uintptr_t)entry)(context, inputs, outputs, constants, arena, symbols);
}

void ingot_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
  registers[0] = registers[1] = registers[2] = registers[3] = 0;
#if defined(__x86_64__)
  __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]);
#else
  (void)leaf, (void)subleaf;
#endif
}

uint64_t ingot_xcr0(void) {
#if defined(__x86_64__)
  uint32_t registers[4];
  ingot_cpuid(1, 0, registers);
  if (!(registers[2] >> 27 & 1)) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
#else
  return 0;
#endif
}

int64_t ingot_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t ingot_cycles(void) {
#if defined(__x86_64__)
  return (int64_t)__rdtsc();
#else
  return ingot_nanoseconds();
#endif
}

uint64_t ingot_read_memory(const void *bytes, size_t count) {
  const uint64_t *words = bytes;
  uint64_t sums[8] = {0};
  size_t stripes = count / 64;
  for (size_t stripe = 0; stripe < stripes; stripe++, words += 8)
    for (int lane = 0; lane < 8; lane++) sums[lane] += words[lane];
  uint64_t total = 0;
  for (int lane = 0; lane < 8; lane++) total += sums[lane];
  return total;
}

int64_t ingot_affinity_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}
