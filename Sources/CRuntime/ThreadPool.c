// A fork-join pool for loops of a few microseconds.
//
// One loop runs at a time. Its iterations are cut into up to four chunks per member. Each member first takes the
// chunks of its own contiguous share, so that consecutive loops find their data in the cache that wrote it, then helps
// the others, so that a member that the system has put aside costs one chunk of waiting and not its whole share.
//
// A share is one 64-bit word: loop number, chunk count and next chunk. Taking a chunk is one fetch-add on it, which
// returns all three together; a member that comes late to a finished loop therefore sees that nothing is left, even
// while the next loop is being written. A loop is finished when all its chunks are, and until then nothing
// that describes it changes. A member counts the chunks that it has done when a share is used up, not one by one: the
// counter is the one cache line that all members write.
//
// Several requests share a pool by dividing it: while as many callers are in a run as there are members, each keeps
// to its own thread, which is when the machine does most. What a loop computes does not depend on who computes it.
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CRuntime.h"

enum { cache_line = 64, chunks_per_member = 4, most_members = 1024 };

typedef struct {
  _Alignas(cache_line) _Atomic uint64_t word;
} share;

struct ingot_pool {
  // The description of a loop: written by its caller, read by the workers in one cache line.
  _Alignas(cache_line) _Atomic uint32_t epoch;
  uint32_t members_wanted;
  uint32_t chunk_total;
  ingot_body body;
  const void *closure;
  int64_t count;

  _Alignas(cache_line) _Atomic uint32_t finished;
  _Atomic uint32_t caller_sleeps;

  // Runs that have come to a parallel loop and have not ended; read by every loop, written twice in a run.
  _Alignas(cache_line) _Atomic uint32_t callers;
  // How many there were last time there was more than one, and until when that counts: between two requests of a
  // busy client there is a moment in which the others seem to be alone.
  _Atomic uint32_t crowd;
  _Atomic int64_t crowd_end;

  _Alignas(cache_line) _Atomic uint32_t busy;
  _Atomic uint32_t sleepers;
  _Atomic uint32_t stopping;
  int64_t spin_nanoseconds;
  int64_t members;
  pthread_t *threads;
  share *shares;
};

typedef struct {
  ingot_pool *pool;
  int64_t member;
} worker_start;

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void sleep_while(_Atomic uint32_t *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word, int count) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }

// Waits until `word` differs from `value`, at most `nanoseconds` of spinning; true if it changed.
static bool spin_while(_Atomic uint32_t *word, uint32_t value, int64_t nanoseconds) {
  int64_t deadline = 0;
  for (;;) {
    for (int round = 0; round < 64; round++) {
      if (atomic_load_explicit(word, memory_order_acquire) != value) return true;
      pause_briefly();
    }
    int64_t now = ingot_nanoseconds();
    if (deadline == 0) deadline = now + nanoseconds;
    if (now >= deadline) return false;
  }
}

// MARK: Chunks

static inline uint64_t pack(uint32_t loop, uint32_t chunks) { return (uint64_t)loop << 32 | (uint64_t)chunks << 16; }

// Takes the next chunk of one share; -1 if none is left.
static inline int64_t take(share *from) {
  uint64_t seen = atomic_load_explicit(&from->word, memory_order_relaxed);
  if ((seen & 0xffff) >= (seen >> 16 & 0xffff)) return -1;
  uint64_t word = atomic_fetch_add_explicit(&from->word, 1, memory_order_acq_rel);
  return (word & 0xffff) < (word >> 16 & 0xffff) ? (int64_t)(word & 0xffff) : -1;
}

// The first of `count` iterations that part `part` of `parts` holds.
static inline int64_t boundary(int64_t count, int64_t part, int64_t parts) {
  int64_t whole = count / parts, rest = count % parts;
  return whole * part + (part < rest ? part : rest);
}

// How many of `count` iterations member `member` of `members` owns. Shares are dealt first and then cut into chunks, so that they differ
// by one iteration at most, and not by one chunk.
static inline int64_t owned(int64_t count, int64_t member, int64_t members) {
  return boundary(count, member + 1, members) - boundary(count, member, members);
}

static inline int64_t chunks_of(int64_t share) { return share < chunks_per_member ? share : chunks_per_member; }

// Runs chunks until none is left, own share first.
static void work(ingot_pool *pool, int64_t member, int64_t members) {
  for (int64_t offset = 0; offset < members; offset++) {
    int64_t owner = member + offset < members ? member + offset : member + offset - members;
    int64_t chunk, total = 0;
    uint32_t taken = 0;
    while ((chunk = take(&pool->shares[owner])) >= 0) {
      // Holding a chunk keeps the loop alive: its description cannot change before `finished` counts this one.
      int64_t wanted = pool->members_wanted;
      total = pool->chunk_total;
      int64_t start = boundary(pool->count, owner, wanted), length = owned(pool->count, owner, wanted), chunks = chunks_of(length);
      pool->body(pool->closure, start + boundary(length, chunk, chunks), start + boundary(length, chunk + 1, chunks));
      taken++;
    }
    if (taken == 0) continue;
    uint32_t done = atomic_fetch_add_explicit(&pool->finished, taken, memory_order_seq_cst) + taken;
    if (done == (uint32_t)total && atomic_load_explicit(&pool->caller_sleeps, memory_order_seq_cst)) wake(&pool->finished, 1);
  }
}

// MARK: Members

static void *worker(void *argument) {
  worker_start start = *(worker_start *)argument;
  free(argument);
  ingot_pool *pool = start.pool;
  uint32_t seen = 0;
  for (;;) {
    if (!spin_while(&pool->epoch, seen, pool->spin_nanoseconds)) {
      atomic_fetch_add_explicit(&pool->sleepers, 1, memory_order_seq_cst);
      while (atomic_load_explicit(&pool->epoch, memory_order_seq_cst) == seen) sleep_while(&pool->epoch, seen);
      atomic_fetch_sub_explicit(&pool->sleepers, 1, memory_order_seq_cst);
    }
    seen = atomic_load_explicit(&pool->epoch, memory_order_acquire);
    if (atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return NULL;
    // Read without holding a chunk, so possibly of a later loop: that costs at most a look at empty shares.
    int64_t wanted = __atomic_load_n(&pool->members_wanted, __ATOMIC_RELAXED);
    if (start.member < wanted) work(pool, start.member, wanted);
  }
}

static void run_alone(ingot_body body, const void *closure, int64_t count) {
  if (count > 0) body(closure, 0, count);
}

static void share_loop(ingot_pool *pool, int64_t members, ingot_body body, const void *closure, int64_t count) {
  if (members > pool->members) members = pool->members;
  if (members > count) members = count;
  if (members <= 1 || atomic_load_explicit(&pool->busy, memory_order_relaxed) ||
      atomic_exchange_explicit(&pool->busy, 1, memory_order_acquire))
    return run_alone(body, closure, count);

  int64_t chunks = 0;
  for (int64_t member = 0; member < members; member++) chunks += chunks_of(owned(count, member, members));
  pool->body = body;
  pool->closure = closure;
  pool->count = count;
  pool->chunk_total = (uint32_t)chunks;
  __atomic_store_n(&pool->members_wanted, (uint32_t)members, __ATOMIC_RELAXED);
  atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->caller_sleeps, 0, memory_order_relaxed);
  uint32_t loop = atomic_load_explicit(&pool->epoch, memory_order_relaxed) + 1;
  for (int64_t member = 0; member < members; member++)
    atomic_store_explicit(&pool->shares[member].word, pack(loop, (uint32_t)chunks_of(owned(count, member, members))), memory_order_release);
  atomic_store_explicit(&pool->epoch, loop, memory_order_seq_cst);
  if (atomic_load_explicit(&pool->sleepers, memory_order_seq_cst) > 0) wake(&pool->epoch, INT_MAX);

  // The caller is member 0.
  work(pool, 0, members);
  for (;;) {
    uint32_t done = atomic_load_explicit(&pool->finished, memory_order_acquire);
    if (done == (uint32_t)chunks) break;
    if (spin_while(&pool->finished, done, pool->spin_nanoseconds)) continue;
    atomic_store_explicit(&pool->caller_sleeps, 1, memory_order_seq_cst);
    done = atomic_load_explicit(&pool->finished, memory_order_seq_cst);
    if (done != (uint32_t)chunks) sleep_while(&pool->finished, done);
  }
  atomic_store_explicit(&pool->busy, 0, memory_order_release);
}

void ingot_parallel(const ingot_context *context, ingot_body body, const void *closure, int64_t count) {
  if (context->pool == NULL || context->threads <= 1 || count <= 1) return run_alone(body, closure, count);
  share_loop(context->pool, context->threads, body, closure, count);
}

// MARK: Runs

// How long the memory of other callers lasts.
enum { crowd_nanoseconds = 2000000 };

// The members that one of `callers` may use.
static inline int64_t fair(const ingot_pool *pool, uint32_t callers) {
  return callers <= 1 ? pool->members : callers >= (uint32_t)pool->members ? 1 : pool->members / callers;
}

static void join(ingot_run *run, ingot_pool *pool) {
  uint32_t callers = atomic_fetch_add_explicit(&pool->callers, 1, memory_order_relaxed) + 1;
  int64_t now = ingot_nanoseconds();
  if (callers > 1) {
    atomic_store_explicit(&pool->crowd, callers, memory_order_relaxed);
    atomic_store_explicit(&pool->crowd_end, now + crowd_nanoseconds, memory_order_relaxed);
  } else if (now < atomic_load_explicit(&pool->crowd_end, memory_order_relaxed)) {
    callers = atomic_load_explicit(&pool->crowd, memory_order_relaxed);
  }
  int64_t members = fair(pool, callers);
  run->members = members < run->context.threads ? members : run->context.threads;
}

void ingot_run_parallel(const ingot_context *context, ingot_body body, const void *closure, int64_t count) {
  ingot_pool *pool = context->pool;
  if (pool == NULL || context->threads <= 1 || count <= 1) return run_alone(body, closure, count);
  // The context is the first member of a run; only the run's own thread finds `members` zero.
  ingot_run *run = (ingot_run *)(uintptr_t)context;
  if (run->members == 0) join(run, pool);
  int64_t members = run->members;
  if (members > 1) {
    int64_t now = fair(pool, atomic_load_explicit(&pool->callers, memory_order_relaxed));
    if (now < members) members = now;
  }
  if (members <= 1) return run_alone(body, closure, count);
  share_loop(pool, members, body, closure, count);
}

int32_t ingot_run_call(
    ingot_run *run, const void *entry, const void *const *inputs, void **outputs, const void *constants, void *arena, int64_t *symbols) {
  run->members = 0;
  int32_t status = ingot_call(entry, &run->context, inputs, outputs, constants, arena, symbols);
  if (run->members != 0) atomic_fetch_sub_explicit(&((ingot_pool *)run->context.pool)->callers, 1, memory_order_relaxed);
  return status;
}

// MARK: Life

ingot_pool *ingot_pool_create(int64_t threads, int64_t spin_nanoseconds) {
  if (threads < 1) threads = 1;
  if (threads > most_members) threads = most_members;
  ingot_pool *pool = aligned_alloc(cache_line, sizeof *pool);
  share *shares = aligned_alloc(cache_line, sizeof *shares * (size_t)threads);
  pthread_t *handles = malloc(sizeof *handles * (size_t)threads);
  if (pool == NULL || shares == NULL || handles == NULL) {
    free(pool), free(shares), free(handles);
    return NULL;
  }
  memset(pool, 0, sizeof *pool);
  memset(shares, 0, sizeof *shares * (size_t)threads);
  pool->shares = shares;
  pool->threads = handles;
  pool->spin_nanoseconds = spin_nanoseconds;
  pool->members = 1;

  // Signals belong to the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->members < threads) {
    worker_start *start = malloc(sizeof *start);
    if (start == NULL) break;
    *start = (worker_start){pool, pool->members};
    pthread_t *handle = &handles[pool->members];
    if (pthread_create(handle, NULL, worker, start) != 0) {
      free(start);
      break;
    }
    char name[16];
    snprintf(name, sizeof name, "ingot-%d", (int)pool->members);
    pthread_setname_np(*handle, name);
    pool->members++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pool;
}

void ingot_pool_destroy(ingot_pool *pool) {
  if (pool == NULL) return;
  atomic_store_explicit(&pool->stopping, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&pool->epoch, 1, memory_order_seq_cst);
  wake(&pool->epoch, INT_MAX);
  for (int64_t member = 1; member < pool->members; member++) pthread_join(pool->threads[member], NULL);
  free(pool->shares), free(pool->threads), free(pool);
}

int64_t ingot_pool_threads(const ingot_pool *pool) { return pool == NULL ? 1 : pool->members; }
