/* A flume to append to, on a disk that can fail and wait; people who write; jobs that are waited for together. */
#ifndef TESTS_UNIT_VIEWS_APPEND_KIT_H
#define TESTS_UNIT_VIEWS_APPEND_KIT_H

#include <pthread.h>

#include "tests/support/flume_kit.h"

extern char *append_dir;
extern struct fake_disk *append_disk;
extern struct flume_options append_options; /* with which it was opened */
extern struct flume *append_flume;
extern struct kit_author append_alice, append_bob;

/* .init and .fini of a suite: any JSON value is taken, or signed messages alone. */
void append_open_any(void);
void append_open_ssb(void);
void append_close(void);

void append_reopen(void);

/* Jobs that are over together: `left` is how many. */
struct append_many {
    pthread_mutex_t lock;
    pthread_cond_t all;
    size_t left;
    size_t ok;
};
void append_many_done(struct flume_append *job); /* .done; .ctx is the struct append_many */
void append_many_wait(struct append_many *many);

/* Until kit_apply_release what is appended waits in the queue. */
void append_hold(void);

/* Opened again so that append_gate, while it is locked, holds the indexer in its next event. */
extern pthread_mutex_t append_gate;
void append_open_gated(void);
/* Both come into one round; unlocks the gate. Answers how many were good. */
size_t append_two(struct flume_append *first, struct flume_append *second);

#endif
