/* Whose turns are short, whose are long, and who is nicer: as the system tells it. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/step_back.h"

/* How long a turn of the calling thread is, in ns; 0 = this system does not tell. */
static uint64_t turn_of_thread(void)
{
    unsigned char told[48] = { 0 };
    uint64_t turn = 0;
    if (syscall(SYS_sched_getattr, 0, told, (unsigned)sizeof told, 0U) == 0) memcpy(&turn, told + 24, sizeof turn);
    return turn;
}

static int niceness_of_thread(void)
{
    return getpriority(PRIO_PROCESS, (id_t)gettid());
}

struct seen {
    uint64_t usual, first, again, back;
    int nice_first, nice_back, policy_first, policy_back;
};

static void *see_inherited(void *ctx)
{
    *(uint64_t *)ctx = turn_of_thread();
    return NULL;
}

static void *see(void *ctx)
{
    struct seen *seen = ctx;
    pthread_t inside;
    seen->usual = turn_of_thread();
    step_first();
    seen->nice_first = niceness_of_thread();
    seen->policy_first = sched_getscheduler(0);
    cr_assert_eq(pthread_create(&inside, NULL, see_inherited, &seen->first), 0);
    (void)pthread_join(inside, NULL);
    step_usual();
    seen->again = turn_of_thread();
    step_back();
    seen->back = turn_of_thread();
    seen->nice_back = niceness_of_thread();
    seen->policy_back = sched_getscheduler(0);
    return NULL;
}

static void *see_letting(void *ctx)
{
    struct seen *seen = ctx;
    step_let(); /* of no consequence here */
    seen->usual = turn_of_thread();
    step_back_letting();
    seen->back = turn_of_thread();
    seen->nice_back = niceness_of_thread();
    seen->policy_back = sched_getscheduler(0);
    for (int i = 0; i < 1000; i++)
        step_let();
    return NULL;
}

Test(step_back, those_that_let_others_in_have_turns_between_them)
{
    struct seen seen = { 0 };
    pthread_t thread;
    int nice = niceness_of_thread();
    cr_assert_eq(pthread_create(&thread, NULL, see_letting, &seen), 0);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(seen.nice_back, nice + 5 < 19 ? nice + 5 : 19);
    if (seen.usual == 0 || sched_getscheduler(0) != SCHED_OTHER) return;
    cr_assert_eq(seen.policy_back, SCHED_BATCH);
    cr_assert_eq(seen.back, 1000000);
}

Test(step_back, those_that_answer_have_shorter_turns_than_those_that_step_back)
{
    struct seen seen = { 0 };
    pthread_t thread;
    int nice = niceness_of_thread();
    cr_assert_eq(pthread_create(&thread, NULL, see, &seen), 0);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(seen.nice_first, nice);
    cr_assert_eq(seen.nice_back, nice + 5 < 19 ? nice + 5 : 19);
    if (seen.usual == 0 || sched_getscheduler(0) != SCHED_OTHER)
        return; /* before Linux 6.12; started as something else */
    cr_assert_eq(seen.policy_first, SCHED_OTHER);
    cr_assert_eq(seen.policy_back, SCHED_BATCH);
    cr_assert_eq(seen.first, 100000);
    cr_assert_eq(seen.again, seen.usual);
    cr_assert_eq(seen.back, 100000000);
}
