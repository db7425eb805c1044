#include "server/step_back.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "server/step_apart.h"

#define NICER 5

/* In ns; the least and the most that Linux takes. 0 = its own default. */
#define TURN_SHORT 100000
#define TURN_LONG 100000000

/* Of those who let others in every LETTING ns. The system takes that for a whole turn, so the longer it is the more they give away. */
#define TURN_LETTING 1000000
#define LETTING 200000

/* What sched_setattr takes; not every C library has a name for it. */
struct turn_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* A thread that wakes takes the processor at once from one whose turns are longer (Linux 6.12 and later; before that a turn is as long as the
 * system likes). No privilege is needed. */
static void turn_set(uint32_t policy, uint64_t length_ns)
{
#if defined SYS_sched_getattr && defined SYS_sched_setattr
    struct turn_attributes now = { .size = sizeof now };
    if (syscall(SYS_sched_getattr, 0, &now, (unsigned)sizeof now, 0U) != 0 || now.policy != SCHED_OTHER) return;
    now.size = sizeof now;
    now.policy = policy;
    now.runtime = length_ns;
    (void)syscall(SYS_sched_setattr, 0, &now, 0U);
#else
    (void)policy;
    (void)length_ns;
#endif
}

void step_first(void)
{
    turn_set(SCHED_OTHER, TURN_SHORT);
}

void step_usual(void)
{
    turn_set(SCHED_OTHER, 0);
}

static int64_t clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void step_aside(void)
{
    static _Thread_local int64_t began_ns;
    static _Thread_local long slept;
    struct rusage used;
    int64_t now_ns = clock_ns();
    if (now_ns - began_ns < TURN_SHORT || getrusage(RUSAGE_THREAD, &used) != 0) return;
    bool has_slept = used.ru_nvcsw != slept;
    (void)step_apart(now_ns, has_slept);
    /* Who has slept in between has not had his turn: he would give away what he was just woken for. */
    if (!has_slept) (void)sched_yield();
    slept = used.ru_nvcsw;
    began_ns = now_ns;
}

static void back_in_turns_of(uint64_t length_ns)
{
    /* Linux has a niceness for each thread. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICER);
    /* whoever wakes them for a job is not to be put aside for that */
    turn_set(SCHED_BATCH, length_ns);
}

void step_back(void)
{
    back_in_turns_of(TURN_LONG);
}

static _Thread_local bool letting;

void step_back_letting(void)
{
    back_in_turns_of(TURN_LETTING);
    letting = true;
}

/* A thread that answers, and has had its share for the moment, would wait until the system looks, which is every few milliseconds. */
void step_let(void)
{
    static _Thread_local int64_t began_ns;
    if (!letting || clock_ns() - began_ns < LETTING) return;
    (void)sched_yield();
    began_ns = clock_ns();
}
