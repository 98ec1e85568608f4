// What a machine reaches at most: fused multiply-adds on registers, reading and copying memory at every level of the caches.
//
//   cc -O2 -pthread limits.c -o limits && ./limits 1 2        the numbers are thread counts
//     prints lines "NAME THREADS BEST MEDIAN": GFLOP/s, or GB/s (copying counts what is read and what is written)
//   ./limits slices THREADS BYTES
//     reads so many bytes of memory again and again, on request, as an artifact's `bench --slices` runs its model
//   ./limits products THREADS COUNT
//     the same with so many multiplications and additions of bytes
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CHAINS = 12, RUNS = 11, MAX_THREADS = 256 };
static volatile float sink;

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Twelve independent chains hide a latency of four cycles on two units. Inline assembly: no compiler may fold them.
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define DECLARE512(i) __m512 c##i = _mm512_set1_ps(i);
#define DECLARE256(i) __m256 c##i = _mm256_set1_ps(i);
#define FMA(i) __asm__ volatile("vfmadd213ps %2, %1, %0" : "+v"(c##i) : "v"(x), "v"(y));
#define BF16(i) __asm__ volatile("vdpbf16ps %2, %1, %0" : "+v"(c##i) : "v"(x), "v"(y));
#define BYTES(i) __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(c##i) : "v"(x), "v"(y));
#define USE512(i) sink = _mm512_cvtss_f32(c##i);
#define USE256(i) sink = _mm256_cvtss_f32(c##i);

__attribute__((target("avx512f"))) static double fma_512(long rounds) {
  __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  EACH(DECLARE512)
  for (long n = 0; n < rounds; n++) { EACH(FMA) }
  EACH(USE512)
  return 2.0 * 16 * CHAINS * rounds;
}

__attribute__((target("avx2,fma"))) static double fma_256(long rounds) {
  __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  EACH(DECLARE256)
  for (long n = 0; n < rounds; n++) { EACH(FMA) }
  EACH(USE256)
  return 2.0 * 8 * CHAINS * rounds;
}

__attribute__((target("avx512f,avx512bf16"))) static double bf16_512(long rounds) {
  __m512 x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.001f);
  EACH(DECLARE512)
  for (long n = 0; n < rounds; n++) { EACH(BF16) }
  EACH(USE512)
  return 2.0 * 32 * CHAINS * rounds;
}

// Sums of four products of bytes (VNNI).
__attribute__((target("avx512f,avx512vnni"))) static double bytes_512(long rounds) {
  __m512 x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.001f);
  EACH(DECLARE512)
  for (long n = 0; n < rounds; n++) { EACH(BYTES) }
  EACH(USE512)
  return 2.0 * 64 * CHAINS * rounds;
}

struct memory { char *from, *to; size_t bytes; };

__attribute__((target("avx2"))) static double read_all(struct memory m, long rounds) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (long n = 0; n < rounds; n++) {
    for (size_t i = 0; i + 128 <= m.bytes; i += 128) {
      const __m256i *p = (const __m256i *)(m.from + i);
      a = _mm256_xor_si256(a, _mm256_load_si256(p));
      b = _mm256_xor_si256(b, _mm256_load_si256(p + 1));
      c = _mm256_xor_si256(c, _mm256_load_si256(p + 2));
      d = _mm256_xor_si256(d, _mm256_load_si256(p + 3));
    }
    __asm__ volatile("" ::: "memory");
  }
  sink = _mm256_extract_epi32(_mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)), 0);
  return (double)m.bytes * rounds;
}

__attribute__((target("avx2"))) static double copy_all(struct memory m, long rounds) {
  for (long n = 0; n < rounds; n++) {
    for (size_t i = 0; i + 128 <= m.bytes; i += 128) {
      const __m256i *p = (const __m256i *)(m.from + i);
      __m256i *q = (__m256i *)(m.to + i);
      __m256i a = _mm256_load_si256(p), b = _mm256_load_si256(p + 1), c = _mm256_load_si256(p + 2), d = _mm256_load_si256(p + 3);
      _mm256_store_si256(q, a);
      _mm256_store_si256(q + 1, b);
      _mm256_store_si256(q + 2, c);
      _mm256_store_si256(q + 3, d);
    }
    __asm__ volatile("" ::: "memory");
  }
  return 2.0 * m.bytes * rounds;
}

struct work {
  double (*arithmetic)(long);
  double (*traffic)(struct memory, long);
  struct memory memory;
  long rounds;
  int number;  // Of the thread.
  pthread_barrier_t *together;
  double amount, begin, end;
};

// Every thread has a processor of its own, of those that this process may use.
static void settle(int number) {
  cpu_set_t may, one;
  if (sched_getaffinity(0, sizeof may, &may)) return;
  number %= CPU_COUNT(&may);
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (!CPU_ISSET(processor, &may) || number-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

static void *run(void *argument) {
  struct work *work = argument;
  settle(work->number);
  pthread_barrier_wait(work->together);
  work->begin = seconds_now();
  work->amount = work->arithmetic ? work->arithmetic(work->rounds) : work->traffic(work->memory, work->rounds);
  work->end = seconds_now();
  return NULL;
}

static double once(struct work *each, int threads) {
  pthread_barrier_t together;
  pthread_t ids[MAX_THREADS];
  pthread_barrier_init(&together, NULL, threads);
  int started = 0;
  for (; started < threads; started++) {
    each[started].together = &together;
    each[started].number = started;
    if (pthread_create(&ids[started], NULL, run, &each[started])) exit(1);
  }
  double amount = 0, begin = 1e300, end = 0;
  for (int i = 0; i < started; i++) {
    pthread_join(ids[i], NULL);
    amount += each[i].amount;
    if (each[i].begin < begin) begin = each[i].begin;
    if (each[i].end > end) end = each[i].end;
  }
  pthread_barrier_destroy(&together);
  return amount / (end - begin) * 1e-9;
}

static int ascending(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void measure(const char *name, struct work *each, int threads) {
  double rates[RUNS];
  once(each, threads);
  for (int i = 0; i < RUNS; i++) rates[i] = once(each, threads);
  qsort(rates, RUNS, sizeof *rates, ascending);
  printf("%s %d %.2f %.2f\n", name, threads, rates[RUNS - 1], rates[RUNS / 2]);
  fflush(stdout);
}

static void measure_arithmetic(const char *name, double (*arithmetic)(long), int threads) {
  struct work each[MAX_THREADS] = {0};
  for (int i = 0; i < threads; i++) each[i] = (struct work){.arithmetic = arithmetic, .rounds = 8000000};
  measure(name, each, threads);
}

static char *allocate(size_t bytes) {
  size_t rounded = (bytes + (2u << 20) - 1) & ~(size_t)((2u << 20) - 1);
  char *memory = aligned_alloc(2u << 20, rounded);
  if (!memory) exit(1);
  madvise(memory, rounded, MADV_HUGEPAGE);
  memset(memory, 1, rounded);
  return memory;
}

// Both together occupy `bytes`, so that copying stays in the same cache as reading.
static void measure_traffic(const char *level, size_t bytes, int threads) {
  struct work each[MAX_THREADS] = {0};
  char name[64];
  for (int copying = 0; copying < 2; copying++) {
    size_t half = copying ? bytes / 2 / 128 * 128 : bytes;
    for (int i = 0; i < threads; i++) {
      long rounds = (long)(600e6 / (double)bytes) + 1;
      each[i] = (struct work){.traffic = copying ? copy_all : read_all, .memory = {allocate(half), copying ? allocate(half) : NULL, half}, .rounds = rounds};
    }
    snprintf(name, sizeof name, "%s_%s", copying ? "copy" : "read", level);
    measure(name, each, threads);
    for (int i = 0; i < threads; i++) { free(each[i].memory.from); free(each[i].memory.to); }
  }
}

// Every line of standard input holds seconds; the answer is one line of JSON.
static int answer_slices(struct work *each, int threads, double amount) {
  enum { MOST = 1 << 16 };
  static double times[MOST];
  double seconds;
  while (scanf("%lf", &seconds) == 1) {
    int runs = 0;
    double end = seconds_now() + seconds;
    do {
      double rate = once(each, threads);
      times[runs++] = amount / rate * 1e-9;
    } while (runs < MOST && seconds_now() < end);
    qsort(times, runs, sizeof *times, ascending);
    printf("{\"median_seconds\":%.9g,\"minimum_seconds\":%.9g,\"runs\":%d}\n", times[runs / 2], times[0], runs);
    fflush(stdout);
  }
  return 0;
}

int main(int count, char **words) {
  __builtin_cpu_init();
  if (count == 4) {
    struct work each[MAX_THREADS] = {0};
    int threads = atoi(words[2]), reading = !strcmp(words[1], "slices");
    long long amount = atoll(words[3]);
    if (threads < 1 || threads > MAX_THREADS || amount < 1 << 20 || (!reading && strcmp(words[1], "products"))) return 2;
    if (reading ? !__builtin_cpu_supports("avx2") : !__builtin_cpu_supports("avx512vnni")) return 2;
    for (int i = 0; i < threads; i++) {
      if (reading) each[i] = (struct work){.traffic = read_all, .memory = {allocate(amount / threads), NULL, amount / threads}, .rounds = 1, .number = i};
      else each[i] = (struct work){.arithmetic = bytes_512, .rounds = (long)((double)amount / (2.0 * 64 * CHAINS * threads)) + 1, .number = i};
    }
    return answer_slices(each, threads, (double)amount);
  }
  long level2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  size_t inner = level2 > 0 ? (size_t)level2 * 3 / 4 : 192u << 10;
  for (int word = 1; word < count; word++) {
    int threads = atoi(words[word]);
    if (threads < 1 || threads > MAX_THREADS) continue;
    if (__builtin_cpu_supports("avx512f")) measure_arithmetic("fma_fp32_512", fma_512, threads);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) measure_arithmetic("fma_fp32_256", fma_256, threads);
    if (__builtin_cpu_supports("avx512vnni")) measure_arithmetic("dot_int8_512", bytes_512, threads);
    if (__builtin_cpu_supports("avx512bf16")) measure_arithmetic("dot_bf16_512", bf16_512, threads);
    if (!__builtin_cpu_supports("avx2")) continue;
    measure_traffic("L1", 24u << 10, threads);
    measure_traffic("L2", inner, threads);
    measure_traffic("L3", 8u << 20, threads);
    measure_traffic("memory", 384u << 20, threads);
  }
  return 0;
}
