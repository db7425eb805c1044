/* Two threads that work by turns on one processor while another one has none: who is moved, when, and where to. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "server/step_apart.h"

#define FIRST 1
#define SECOND 2

static struct apart apart;

/* Both work on `cpu`, a turn each, from *us on: how often until somebody is to be moved, `most` if nobody is. */
static int turns_until_moved(unsigned cpu, int64_t *us, int most)
{
    unsigned times[2] = { 0 };
    for (int i = 0; i < most; i++, *us += 100)
        if (apart_note(&apart, cpu, i % 2 == 0 ? FIRST : SECOND, *us, &times[i % 2])) return i;
    return most;
}

Test(step_apart, two_that_share_a_processor_are_moved_after_some_turns_and_not_soon_again)
{
    memset(&apart, 0, sizeof apart);
    int64_t us = 1000000;
    int first = turns_until_moved(3, &us, 1000);
    cr_assert(first >= 7 && first < 12, "after %d turns", first);
    int64_t moved = us;
    cr_assert_lt(turns_until_moved(3, &us, 1000), 1000);
    cr_assert(us - moved >= 2000 && us - moved < 3000, "again after %lld us", (long long)(us - moved));
}

Test(step_apart, who_works_alone_on_a_processor_stays)
{
    memset(&apart, 0, sizeof apart);
    unsigned times[2] = { 0 };
    for (int64_t us = 1000000; us < 1100000; us += 100) {
        cr_assert_not(apart_note(&apart, 3, FIRST, us, &times[0]));
        cr_assert_not(apart_note(&apart, 4, SECOND, us, &times[1]));
    }
}

Test(step_apart, who_was_there_long_before_does_not_count)
{
    memset(&apart, 0, sizeof apart);
    unsigned times[2] = { 0 };
    for (int64_t i = 0; i < 1000; i++)
        cr_assert_not(apart_note(&apart, 3, i % 2 == 0 ? FIRST : SECOND, 1000000 + 1000 * i, &times[i % 2]));
}

Test(step_apart, processors_where_somebody_works_are_not_free)
{
    cpu_set_t cpus;
    unsigned times = 0;
    memset(&apart, 0, sizeof apart);
    CPU_ZERO(&cpus);
    CPU_SET(3, &cpus);
    CPU_SET(4, &cpus);
    (void)apart_note(&apart, 3, FIRST, 1000000, &times);
    cr_assert(apart_free(&apart, 1000500, &cpus));
    cr_assert_eq(CPU_COUNT(&cpus), 1);
    cr_assert(CPU_ISSET(4, &cpus));
    (void)apart_note(&apart, 4, SECOND, 1000500, &times);
    cr_assert_not(apart_free(&apart, 1000600, &cpus));
    CPU_SET(3, &cpus);
    cr_assert(apart_free(&apart, 1001100, &cpus), "nobody has worked there for a moment");
    cr_assert(CPU_ISSET(3, &cpus) && !CPU_ISSET(4, &cpus));
}

/* ---- by the system's own account ---- */

struct together {
    int64_t now_ns;
    pthread_barrier_t turn;
    cpu_set_t all, one;
    int moved;
};

/* Both are on one processor again before each of their turns. */
static void *work(void *ctx)
{
    struct together *together = ctx;
    cpu_set_t after;
    for (int i = 0; i < 2000; i++) {
        int who = pthread_barrier_wait(&together->turn);
        if (who == PTHREAD_BARRIER_SERIAL_THREAD) together->now_ns += 100000;
        (void)pthread_barrier_wait(&together->turn);
        cr_assert_eq(sched_setaffinity(0, sizeof together->one, &together->one), 0);
        cr_assert_eq(sched_setaffinity(0, sizeof together->all, &together->all), 0);
        if (step_apart(together->now_ns, false)) __atomic_add_fetch(&together->moved, 1, __ATOMIC_SEQ_CST);
        cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
        cr_assert(CPU_EQUAL(&after, &together->all), "it may run where it might before");
    }
    return NULL;
}

Test(step_apart, a_thread_that_is_moved_may_run_where_it_might_before)
{
    struct together together = { .now_ns = 1000000000 };
    pthread_t thread;
    cr_assert_eq(sched_getaffinity(0, sizeof together.all, &together.all), 0);
    CPU_ZERO(&together.one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&together.one) == 0; i++)
        if (CPU_ISSET(i, &together.all)) CPU_SET(i, &together.one);
    (void)pthread_barrier_init(&together.turn, NULL, 2);
    cr_assert_eq(pthread_create(&thread, NULL, work, &together), 0);
    (void)work(&together);
    (void)pthread_join(thread, NULL);
    (void)pthread_barrier_destroy(&together.turn);
    if (CPU_COUNT(&together.all) == 1)
        cr_assert_eq(together.moved, 0);
    else
        cr_assert_gt(together.moved, 0);
}
