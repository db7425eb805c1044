/* What tests of the flume core share: two tiny views that can be told to fail or to dawdle, calls that wait, messages of
 * one's own. Without Criterion, since the stress programs use it too; what must not happen ends the process with a text. */
#ifndef TESTS_SUPPORT_FLUME_KIT_H
#define TESTS_SUPPORT_FLUME_KIT_H

#include "tests/support/log_fake.h"
#include "views/flume.h"

#define KIT_FIRST (UINT32_C(1) << VIEW_COUNT) /* masks of the two */
#define KIT_SECOND (UINT32_C(1) << (VIEW_COUNT + 1))
#define KIT_BOTH (KIT_FIRST | KIT_SECOND)
#define KIT_WAIT_MS 20000 /* far longer than anything takes */

/* Each keeps a table seq -> text of the record, so that what was applied, and how often, shows. */
extern const struct view_ops *const kit_views[];       /* "first" and "second" */
extern const struct view_ops *const kit_views_newer[]; /* "first" as it was, "second" with a higher version */
extern const struct view_ops *const kit_views_late[];  /* "first" as it was, "second" may fall behind */

void kit_apply_fails(int err);     /* of "second": the code, OK = it works */
void kit_apply_waits(unsigned us); /* of "second", each time it writes */
unsigned kit_applied(void);        /* records given to "second" since the start */

/* A gate in front of each write of "second": while it is shut the indexer stands there, and does nothing else. */
void kit_apply_hold(void);    /* shuts it */
void kit_apply_await(void);   /* returns when the indexer stands there */
void kit_apply_step(void);    /* one write passes; returns when the next one stands there */
void kit_apply_release(void); /* opens it */

struct kit_events {
    _Atomic unsigned head, indexed, changed, failed;
};
void kit_on_event(void *ctx, enum flume_event event);

struct flume_options kit_options(struct fake_disk *disk, const char *dir, struct kit_events *events);
struct flume *kit_open(const struct flume_options *options);

/* Waits until the views are at `seq`; the code that fn was given, or OK at once. */
int kit_wait(struct flume *flume, uint32_t mask, int64_t seq, int64_t timeout_ms);
int kit_wait_head(struct flume *flume, uint32_t mask); /* at the head of now */
bool kit_until(bool (*test)(void *ctx), void *ctx);    /* asks every few ms; false = it never came true */

/* Appends and waits until it is done. */
int kit_append(struct flume *flume, struct flume_append *job);
int kit_append_text(struct flume *flume, const char *text, bool relaxed, int64_t *ret_seq);
int kit_append_messages(struct flume *flume, struct feed_message *messages, size_t n, int64_t *seqs,
                        struct flume_append *ret_job);

/* Is the view exactly what the log says, up to its since? Checked against all records of the log. */
bool kit_view_is_true(struct flume *flume, const char *name);

/* ---- messages -------------------------------------------------------------------------------------------------- */

struct kit_author {
    uint8_t secret[64];
    struct ref id;
    struct ref last; /* id of the newest message made */
    int64_t sequence;
};
void kit_author_make(struct kit_author *author, uint8_t number);
/* The author's next message. The caller frees it with feed_message_free. */
void kit_message(struct kit_author *author, const char *text, struct feed_message *ret_message);

#endif
