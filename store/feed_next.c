#include <inttypes.h>
#include <math.h>
#include <sodium.h>

#include "store/canonical.h"
#include "store/err.h"
#include "store/feed.h"

#define VALUE_MAX ((size_t)1 << 20) /* as feed_check takes; what is too long for a message is told by that */

/* As JavaScript's monotonic-timestamp: strictly increasing, in the smallest steps that such a number has when the clock stands still or went
 * back. */
static double time_after(const struct feed_state *state, double now)
{
    double newest = state->timestamp;
    if (!state->exists || !isfinite(newest) || now > newest) return now;
    double next = newest + 0.001;
    if (!(next > newest)) next = nextafter(newest, INFINITY);
    return isfinite(next) ? next : now;
}

static void put_unsigned(const struct feed_state *state, const struct ref *author, double time, struct slice content,
                         struct buf *out)
{
    char id[REF_TEXT_MAX], number[32];
    (void)buf_puts(out, "{\"previous\":");
    if (state->exists) {
        (void)buf_putc(out, '"');
        (void)buf_append(out, id, ref_print(&state->id, id));
        (void)buf_putc(out, '"');
    } else {
        (void)buf_puts(out, "null");
    }
    (void)buf_printf(out, ",\"sequence\":%" PRId64 ",\"author\":\"", state->exists ? state->sequence + 1 : INT64_C(1));
    (void)buf_append(out, id, ref_print(author, id));
    (void)buf_puts(out, "\",\"timestamp\":");
    (void)buf_append(out, number, canonical_number(time, number));
    (void)buf_puts(out, ",\"hash\":\"sha256\",\"content\":");
    (void)buf_append(out, content.data, content.len);
    (void)buf_putc(out, '}');
}

int feed_next(const struct feed_state *state, const struct ref *author, const uint8_t secret_key[64], double now,
              struct slice content, struct feed_message *ret_message)
{
    struct buf text, value;
    *ret_message = (struct feed_message){ .sequence = 0 };
    buf_init(&text, VALUE_MAX);
    buf_init(&value, VALUE_MAX);
    put_unsigned(state, author, time_after(state, now), content, &text);
    int err = text.err == ERR_LIMIT ? err_set(ERR_INVALID, "the content is longer than any message can be") : text.err;
    if (err == OK) err = feed_sign(text.data, text.len, secret_key, NULL, &value);
    /* A signature that went wrong in the making would tell about the key: none leaves unchecked. */
    if (err == OK) err = feed_check(value.data, value.len, NULL, ret_message);
    buf_free(&text);
    buf_free(&value);
    return err;
}
