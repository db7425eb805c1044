#include "server/step_apart.h"

#include <string.h>

#define LATELY_US 1000
#define MOVES_US 2000 /* from one to the next: a move costs as much as some turns */

/* Fewer may be chance: who has worked there may be asleep by now, and it is quieter to stay where one is. */
#define TIMES 4

static bool mark_is_late(uint64_t mark, int64_t now_us)
{
    return mark != 0 && now_us - (int64_t)(mark >> 16) < LATELY_US;
}

bool apart_note(struct apart *apart, unsigned cpu, unsigned who, int64_t now_us, unsigned *times)
{
    if (cpu >= APART_CPUS_MAX) return false;
    uint64_t before = atomic_exchange(&apart->seen[cpu], (uint64_t)now_us << 16 | (who & 0xFFFF));
    bool shared = mark_is_late(before, now_us) && (before & 0xFFFF) != (who & 0xFFFF);
    *times = shared ? *times + 1 : 0;
    int64_t moved_us = atomic_load(&apart->moved_us);
    if (*times < TIMES || now_us - moved_us < MOVES_US) return false;
    *times = 0;
    return atomic_compare_exchange_strong(&apart->moved_us, &moved_us, now_us);
}

bool apart_free(const struct apart *apart, int64_t now_us, cpu_set_t *cpus)
{
    for (size_t i = 0; i < APART_CPUS_MAX; i++)
        if (mark_is_late(atomic_load(&apart->seen[i]), now_us)) CPU_CLR(i, cpus);
    return CPU_COUNT(cpus) > 0;
}

/* All processors are asked for, of which the system gives those of the cpuset: so it gives those, too, that are added to the cpuset later. Not where
 * somebody has asked for fewer (taskset). */
static void apart_give_back(const cpu_set_t *allowed)
{
    cpu_set_t all, given;
    memset(&all, 0xFF, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all);
    if (sched_getaffinity(0, sizeof given, &given) == 0 && CPU_EQUAL(&given, allowed)) return;
    (void)sched_setaffinity(0, sizeof *allowed, allowed);
}

bool step_apart(int64_t now_ns, bool slept)
{
    static struct apart apart;
    static _Thread_local unsigned times, who;
    static _Atomic unsigned count;
    cpu_set_t allowed, others;
    int64_t now_us = now_ns / 1000;
    int cpu = sched_getcpu();
    if (slept) times = 0;
    if (who == 0) who = atomic_fetch_add(&count, 1) + 1;
    if (slept || cpu < 0 || !apart_note(&apart, (unsigned)cpu, who, now_us, &times)) return false;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
    others = allowed;
    if (!apart_free(&apart, now_us, &others) || sched_setaffinity(0, sizeof others, &others) != 0) return false;
    apart_give_back(&allowed);
    return true;
}
