#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/parallel.h"

static void count_one(void *ctx, size_t i)
{
    atomic_int *counts = ctx;
    atomic_fetch_add(&counts[i], 1);
}

Test(parallel, does_each_round_once_with_any_number_of_threads)
{
    static const size_t counts[] = { 0, 1, 2, 1000 };
    for (unsigned threads = 0; threads < 6; threads++) {
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            atomic_int *seen = calloc(counts[k] + 1, sizeof *seen);
            cr_assert_not_null(seen);
            parallel_run(counts[k], threads, count_one, seen);
            for (size_t i = 0; i < counts[k]; i++)
                cr_expect_eq(seen[i], 1, "%zu of %zu with %u threads", i, counts[k], threads);
            free(seen);
        }
    }
}

Test(parallel, there_is_a_core)
{
    cr_expect_geq(parallel_cores(), 1);
}
