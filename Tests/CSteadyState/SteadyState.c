#define _GNU_SOURCE
#include "CSteadyState.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

// MARK: Allocations

static _Thread_local int64_t allocations;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) { return allocations++, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocations++, __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return allocations++, __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { return allocations++, __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return allocations++, __libc_memalign(alignment, size); }
int posix_memalign(void **result, size_t alignment, size_t size) {
  void *memory = (allocations++, __libc_memalign(alignment, size));
  if (memory == NULL) return ENOMEM;
  *result = memory;
  return 0;
}

int64_t steady_allocations(void) { return allocations; }

// MARK: System calls

static _Thread_local int64_t system_calls;

// A refused call comes here as a signal; its result is -ENOSYS.
static void refused(int signal, siginfo_t *information, void *context) {
  (void)signal, (void)information;
  system_calls++;
#if defined(__x86_64__)
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#else
  (void)context;
#endif
}

typedef struct {
  void (*body)(void *);
  void *argument;
  int64_t rounds, allocations, system_calls;
  int status;
} watch;

// The filter stays with the thread until its end, so the thread may still end, return from signals and free its stack.
static int refuse_system_calls(void) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 6, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

static void *watched(void *argument) {
  watch *job = argument;
  job->body(job->argument);
  struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
  if (sigaction(SIGSYS, &action, NULL) != 0 || refuse_system_calls() != 0) {
    job->status = -1;
    return NULL;
  }
  int64_t before = allocations;
  system_calls = 0;
  for (int64_t round = 0; round < job->rounds; round++) job->body(job->argument);
  job->allocations = allocations - before;
  job->system_calls = system_calls;
  return NULL;
}

int steady_watch(void (*body)(void *), void *argument, int64_t rounds, int64_t *allocation_count, int64_t *system_call_count) {
  watch job = {body, argument, rounds, 0, 0, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, watched, &job) != 0) return -1;
  pthread_join(thread, NULL);
  *allocation_count = job.allocations;
  *system_call_count = job.system_calls;
  return job.status;
}
