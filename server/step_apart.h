/* Threads with much to do that have come to share a processor while another one has none of them. The system leaves them there for long: it takes no
 * thread that has run within the last half millisecond, as two that step aside for each other always have, to a processor that is idle for moments only,
 * as one is where somebody waits for the disk. Any thread. Where the system does not allow it, nobody is moved. */
#ifndef SERVER_STEP_APART_H
#define SERVER_STEP_APART_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Called by a thread after each turn of its work. `slept`: it had nothing to do in between. true = it was moved to a processor on which none of the
 * callers has worked lately; it may be moved on to wherever it was allowed to run before. */
bool step_apart(int64_t now_ns, bool slept);

/* What that goes by. */
#define APART_CPUS_MAX CPU_SETSIZE
struct apart {
    _Atomic uint64_t seen[APART_CPUS_MAX]; /* who has worked there last, and when */
    _Atomic int64_t moved_us;
};

/* Notes that `who` works on `cpu`. *times is that thread's: how often, one turn after the other, somebody else had worked there in between. true = that was
 * often enough, and it is time to move somebody. */
bool apart_note(struct apart *apart, unsigned cpu, unsigned who, int64_t now_us, unsigned *times);

/* Leaves those in *cpus where nobody has worked lately; false = there are none. */
bool apart_free(const struct apart *apart, int64_t now_us, cpu_set_t *cpus);

#endif
