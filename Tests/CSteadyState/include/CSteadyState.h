/// Counts what a thread asks of the allocator and of the system: a run that is said to need neither is watched doing it.
#pragma once
#include <stdint.h>

/// Allocations that the calling thread has made so far. The executable's own malloc counts them.
int64_t steady_allocations(void);

/// Runs `body(argument)` `rounds` times on a thread of its own after one round that is not counted, and says what the rounds asked for.
/// The system calls of that thread are counted by a filter that refuses them: a body must do without.
/// Returns 0, or -1 where there is no such filter.
int steady_watch(void (*body)(void *), void *argument, int64_t rounds, int64_t *allocations, int64_t *system_calls);
