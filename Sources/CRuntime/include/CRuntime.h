/// What Swift cannot say well: the binary interface of compiled models, the thread pool's atomics, the
/// digest's inner loop and a few instructions. No Swift runtime, no allocation on any hot path.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: The interface of compiled code

/// One parallel loop body: does the iterations `begin ..< end`.
typedef void (*ingot_body)(const void *closure, int64_t begin, int64_t end);

/// What compiled code is given by whoever runs it.
typedef struct ingot_context {
  /// Runs `body` over 0 ..< count, cut into contiguous ranges; returns when every iteration is done.
  /// May be called from inside a body: the inner loop then runs on the calling thread.
  void (*parallel)(const struct ingot_context *context, ingot_body body, const void *closure, int64_t count);
  /// The thread pool, or null.
  void *pool;
  /// How many threads may take part, the caller included; at least 1.
  int64_t threads;
  /// Null, or one counter per step: the code adds the time-stamp cycles that each step took.
  int64_t *profile;
  /// How many bytes the arena has. Only models with computed symbols ask: they find out during the run how much they need.
  int64_t arena_bytes;
  /// Where such models write the most bytes of the arena that a run has used, if that is more than what stands there.
  int64_t *arena_used;
  /// Computes text for `count` elements: `function` is an index into the manifest's `textFunctions`, strings are numbers. Returns 0, or
  /// something else if it cannot. Null for models without strings.
  int32_t (*text)(void *state, int64_t function, const void *const *arguments, void *result, int64_t count, int64_t width);
  void *text_state;
  /// Null, or a word that another thread may set: loops over steps whose end data decides look at it in every round, and return
  /// `ingot_stopped` if it is not 0.
  const int64_t *stop;
} ingot_context;

/// The result of a run that was stopped.
enum { ingot_stopped = -1 };

/// Writes the word that `stop` points to, from any thread.
void ingot_set_stop(int64_t *word, int64_t value);

/// The entry point of a model.
///
/// `inputs` and `outputs` are aligned to their element, `constants` and `arena` to 64 bytes. `symbols` has one value
/// per symbol of the manifest; the code writes those that the manifest calls computed. An output whose shape names a computed symbol has no
/// room on entry: the code writes its address, in the arena or among the inputs and constants.
/// The result is 0, 1 + an index into the manifest's `failures`, or `ingot_stopped`.
typedef int32_t (*ingot_entry)(
    const ingot_context *context, const void *const *inputs, void **outputs, const void *constants, void *arena, int64_t *symbols);

/// Calls the entry point at an address.
int32_t ingot_call(
    const void *entry, const ingot_context *context, const void *const *inputs, void **outputs, const void *constants,
    void *arena, int64_t *symbols);

// MARK: Thread pool

typedef struct ingot_pool ingot_pool;

/// Starts `threads - 1` workers; the thread that calls `ingot_parallel` is the last member.
/// Idle workers spin for `spin_nanoseconds` and then sleep. Returns null if the system has no memory or
/// threads; fewer threads than asked for are accepted, see `ingot_pool_threads`.
ingot_pool *ingot_pool_create(int64_t threads, int64_t spin_nanoseconds);
/// Stops and joins the workers. No loop may be running.
void ingot_pool_destroy(ingot_pool *pool);
/// The number of members, the caller included.
int64_t ingot_pool_threads(const ingot_pool *pool);
/// The `parallel` of `ingot_context`. A caller that finds the pool busy runs its loop itself.
void ingot_parallel(const ingot_context *context, ingot_body body, const void *closure, int64_t count);

/// A context for runs that share the pool fairly: while several runs are under way, each gets its part of the members,
/// down to its own thread alone. A run without a parallel loop does not touch the pool.
typedef struct ingot_run {
  /// With `ingot_run_parallel` as its `parallel`.
  ingot_context context;
  /// Members that the run in progress may use; 0 until it comes to its first parallel loop.
  int64_t members;
} ingot_run;

/// The `parallel` of a run's context.
void ingot_run_parallel(const ingot_context *context, ingot_body body, const void *closure, int64_t count);
/// Calls the entry point at an address; one call at a time for each `run`.
int32_t ingot_run_call(
    ingot_run *run, const void *entry, const void *const *inputs, void **outputs, const void *constants, void *arena, int64_t *symbols);

// MARK: Digest

/// State of a digest that is fed piece by piece.
typedef struct ingot_hash {
  uint64_t lanes[8];
  uint64_t byte_count;
  uint8_t pending[64];
} ingot_hash;

typedef struct ingot_digest {
  ingot_hash segment;
  ingot_hash tree;
  uint64_t byte_count;
} ingot_digest;

void ingot_digest_begin(ingot_digest *digest);
void ingot_digest_update(ingot_digest *digest, const void *bytes, size_t count);
void ingot_digest_end(ingot_digest *digest, uint64_t result[2]);
/// The same value as begin, update, end over the whole, computed by up to `threads` threads.
void ingot_digest_whole(const void *bytes, size_t count, int threads, uint64_t result[2]);

// MARK: The machine

/// The four registers of `cpuid`; zeros on machines that have no such instruction.
void ingot_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]);
/// The extended control register that says which register files the system saves; 0 where there is none.
uint64_t ingot_xcr0(void);
/// The time-stamp counter (nanoseconds where there is none).
int64_t ingot_cycles(void);
/// Nanoseconds of the monotonic clock.
int64_t ingot_nanoseconds(void);
/// Reads memory once, as fast as one core can, and returns a sum that depends on every byte.
uint64_t ingot_read_memory(const void *bytes, size_t count);
/// The number of CPUs in the affinity mask of the calling thread; 0 if it cannot be read.
int64_t ingot_affinity_count(void);

// MARK: Sockets

/// A classic BPF program for SO_ATTACH_FILTER (struct sock_fprog of linux/filter.h) that drops every packet. On a
/// listening socket it stops new handshakes, while those that are complete can still be accepted.
struct ingot_packet_instruction { unsigned short code; unsigned char jump_true, jump_false; unsigned int constant; };
struct ingot_packet_filter { unsigned short count; const struct ingot_packet_instruction *program; };
static inline struct ingot_packet_filter ingot_drop_packets(void) {
  static const struct ingot_packet_instruction drop = {0x06 /* BPF_RET | BPF_K */, 0, 0, 0};
  return (struct ingot_packet_filter){1, &drop};
}

#ifdef __cplusplus
}
#endif
