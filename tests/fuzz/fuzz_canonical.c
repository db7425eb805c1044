/* Any bytes: parsing ends, what it accepts prints to a text that parses and prints the same again, in both forms, and
 * the feed rules survive it. */
#include <stdlib.h>
#include <string.h>

#include "store/canonical_indent.h"
#include "store/err.h"
#include "store/feed.h"

#define TEXT_MAX ((size_t)4 << 20)

static void must(int right)
{
    if (!right) abort();
}

typedef int print_fn(const struct canonical *doc, struct buf *out);

/* The two forms name the same value, so each of them leads to both. */
static void check_fixed_point(const struct buf *text, const struct buf *expected, print_fn *print)
{
    struct canonical *doc = NULL;
    struct buf again;
    buf_init(&again, TEXT_MAX);
    must(canonical_parse(text->data, text->len, &doc) == OK);
    must(print(doc, &again) == OK);
    must(again.len == expected->len && memcmp(again.data, expected->data, again.len) == 0);
    canonical_free(doc);
    buf_free(&again);
}

/* The short way may refuse anything, but must say what the tree says. */
static void check_indent(const char *text, size_t len, const struct buf *pretty, const struct buf *compact)
{
    static char out[1 << 16];
    struct canonical_indent indent;
    if (!canonical_indent(text, len, out, sizeof out, &indent)) return;
    must(pretty != NULL && compact->len == len && memcmp(compact->data, text, len) == 0);
    must(pretty->len == indent.len && memcmp(pretty->data, out, indent.len) == 0);
}

static void check_feed(const char *data, size_t len)
{
    struct feed_message message;
    struct feed_state state = { .exists = false };
    if (feed_check_unsigned(data, len, &message) == OK) {
        (void)feed_check_next(&state, &message);
        must(feed_record(&message, 1.5) == OK);
        struct canonical *doc = NULL;
        must(canonical_parse(message.record.data, message.record.len, &doc) == OK);
        struct ref id;
        must(canonical_id(canonical_member(doc, "value"), &id) == OK);
        must(ref_equal(&id, &message.id));
        canonical_free(doc);
    }
    feed_message_free(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct canonical *doc = NULL;
    struct buf pretty, compact;
    buf_init(&pretty, TEXT_MAX);
    buf_init(&compact, TEXT_MAX);
    if (canonical_parse(text, len, &doc) == OK && canonical_print(doc, &pretty) == OK &&
        canonical_print_compact(doc, &compact) == OK) {
        check_fixed_point(&pretty, &pretty, canonical_print);
        check_fixed_point(&pretty, &compact, canonical_print_compact);
        check_fixed_point(&compact, &pretty, canonical_print);
        check_indent(text, len, &pretty, &compact);
    } else {
        check_indent(text, len, NULL, NULL);
    }
    canonical_free(doc);
    check_feed(text, len);
    buf_free(&pretty);
    buf_free(&compact);
    return 0;
}
