#include "tests/unit/views/append_kit.h"

#include <criterion/criterion.h>

#include "store/err.h"
#include "tests/support/scratch.h"

char *append_dir;
struct fake_disk *append_disk;
struct flume_options append_options;
struct flume *append_flume;
struct kit_author append_alice, append_bob;

void append_open_any(void)
{
    append_dir = scratch_make();
    append_disk = fake_disk_make(false);
    append_options = kit_options(append_disk, append_dir, NULL);
    append_flume = kit_open(&append_options);
}

void append_open_ssb(void)
{
    append_dir = scratch_make();
    append_disk = fake_disk_make(false);
    append_options = kit_options(append_disk, append_dir, NULL);
    append_options.accept_any = false;
    append_options.views = NULL;
    append_flume = kit_open(&append_options);
    kit_author_make(&append_alice, 1);
    kit_author_make(&append_bob, 2);
}

void append_close(void)
{
    flume_close(append_flume);
    fake_disk_free(append_disk);
    scratch_remove(append_dir);
}

void append_reopen(void)
{
    flume_close(append_flume);
    append_flume = kit_open(&append_options);
}

void append_many_done(struct flume_append *job)
{
    struct append_many *many = job->ctx;
    (void)pthread_mutex_lock(&many->lock);
    many->left--;
    if (job->err == OK) many->ok++;
    if (many->left == 0) (void)pthread_cond_signal(&many->all);
    (void)pthread_mutex_unlock(&many->lock);
}

void append_many_wait(struct append_many *many)
{
    (void)pthread_mutex_lock(&many->lock);
    while (many->left > 0)
        (void)pthread_cond_wait(&many->all, &many->lock);
    (void)pthread_mutex_unlock(&many->lock);
}

void append_hold(void)
{
    cr_assert_eq(kit_append_text(append_flume, "{}", false, NULL), OK);
    cr_assert_eq(kit_wait_head(append_flume, KIT_BOTH), OK);
    kit_apply_hold();
    cr_assert_eq(flume_rebuild(append_flume, "second"), OK);
    kit_apply_await();
}

pthread_mutex_t append_gate = PTHREAD_MUTEX_INITIALIZER;

static void gate_event(void *ctx, enum flume_event event)
{
    (void)ctx;
    (void)event;
    (void)pthread_mutex_lock(&append_gate);
    (void)pthread_mutex_unlock(&append_gate);
}

void append_open_gated(void)
{
    flume_close(append_flume);
    append_options.on_event = gate_event;
    append_flume = kit_open(&append_options);
}

size_t append_two(struct flume_append *first, struct flume_append *second)
{
    struct append_many many = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 2, 0 };
    struct flume_append *const jobs[] = { first, second };
    for (size_t i = 0; i < 2; i++) {
        jobs[i]->done = append_many_done;
        jobs[i]->ctx = &many;
        cr_assert_eq(flume_append(append_flume, jobs[i]), OK);
    }
    (void)pthread_mutex_unlock(&append_gate);
    append_many_wait(&many);
    return many.ok;
}
