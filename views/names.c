/* Questions to the view "names". */
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/index_keys.h"
#include "views/name_key.h"
#include "views/view_about.h"
#include "views/view_feeds.h"

/* ---- matching ------------------------------------------------------------------------------------------------------- */

#define FEED_LOOKED 64 /* messages that a feed may have written since a first page was read */
#define NEAR_LETTERS 3 /* fewer letters than this are meant as they are */
#define FAR_LETTERS 7  /* from here on two mistakes may be in it */

/* Characters of UTF-8 text, as far as they fit. */
static size_t letters_of(struct slice text, uint32_t letters[NAME_BYTES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < text.len && count < NAME_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c & 0xC0) == 0x80 && count > 0)
            letters[count - 1] = letters[count - 1] << 8 | c;
        else
            letters[count++] = c;
    }
    return count;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The fewest mistakes (a letter too many, missing, another one, two exchanged) between what was typed and any beginning of the name. */
static unsigned mistakes_to_prefix(const uint32_t *typed, size_t typed_len, const uint32_t *name, size_t name_len)
{
    unsigned rows[3][NAME_BYTES_MAX + 1], *before = rows[0], *last = rows[1], *here = rows[2];
    for (size_t j = 0; j <= name_len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= typed_len; i++) {
        here[0] = (unsigned)i;
        for (size_t j = 1; j <= name_len; j++) {
            unsigned best = last[j - 1] + (typed[i - 1] != name[j - 1]);
            best = least(best, least(last[j], here[j - 1]) + 1);
            bool exchanged = i > 1 && j > 1 && typed[i - 1] == name[j - 2] && typed[i - 2] == name[j - 1];
            here[j] = exchanged ? least(best, before[j - 2] + 1) : best;
        }
        unsigned *spare = before;
        before = last;
        last = here;
        here = spare;
    }
    unsigned fewest = last[0];
    for (size_t j = 1; j <= name_len; j++)
        fewest = least(fewest, last[j]);
    return fewest;
}

static bool is_near(struct slice typed, struct slice part)
{
    uint32_t a[NAME_BYTES_MAX], b[NAME_BYTES_MAX];
    size_t a_len = letters_of(typed, a), b_len = letters_of(part, b);
    if (a_len < NEAR_LETTERS || b_len == 0 || a[0] != b[0]) return false;
    unsigned most = a_len >= FAR_LETTERS ? 2 : 1;
    /* a beginning that is longer has more mistakes */
    if (b_len > a_len + most) b_len = a_len + most;
    return mistakes_to_prefix(a, a_len, b, b_len) <= most;
}

enum name_match name_part_matches(struct slice typed, struct slice part, bool first)
{
    if (part.len >= typed.len && memcmp(part.data, typed.data, typed.len) == 0) {
        if (!first) return NAME_WORD;
        return part.len == typed.len ? NAME_EXACT : NAME_BEGINS;
    }
    return is_near(typed, part) ? NAME_NEAR : NAME_NONE;
}

enum name_match name_matches(const struct folded_name *typed, const struct folded_name *name)
{
    enum name_match best = NAME_NONE;
    if (typed->len == 0) return NAME_NONE;
    for (size_t i = 0; i < name->part_count; i++) {
        enum name_match match = name_part_matches(name_part(typed, 0), name_part(name, i), i == 0);
        if (match < best) best = match;
    }
    return best;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

struct finding {
    const struct flume_read *read;
    struct slice typed;
    int64_t upto;            /* what feeds wrote behind it does not count */
    struct index_keys known; /* feed and match */
    struct named_feed *feeds;
    size_t count, cap;
};

/* The seq of the feed's newest message up to finding->upto, among its newest FEED_LOOKED: SEQ_EMPTY = there is none. */
static int finding_newest(const struct finding *finding, const struct ref *feed, int64_t *ret_seq)
{
    struct feed_latest latest;
    struct feed_entry entries[FEED_LOOKED];
    *ret_seq = SEQ_EMPTY;
    int err = feeds_latest(finding->read, feed, &latest);
    if (err != OK) return err == ERR_NOTFOUND ? OK : err;
    if (latest.seq <= finding->upto) {
        *ret_seq = latest.seq;
        return OK;
    }
    int count = feeds_range(finding->read, feed, latest.sequence, 0, true, entries, FEED_LOOKED);
    for (int i = 0; i < count; i++) {
        if (entries[i].seq > finding->upto) continue;
        *ret_seq = entries[i].seq;
        return OK;
    }
    return count < 0 ? count : OK;
}

static int finding_add(struct finding *finding, const struct ref *feed, enum name_match match)
{
    char key[2 + sizeof feed->id] = { (char)match, (char)feed->kind };
    uint32_t id;
    size_t known = finding->known.count;
    int64_t seq;
    memcpy(key + 2, feed->id, sizeof feed->id);
    int err = index_keys_add(&finding->known, (struct slice){ key, sizeof key }, &id);
    if (err != OK || id < known) return err;
    err = index_grow(&finding->feeds, &finding->cap, finding->count, sizeof *finding->feeds);
    if (err != OK) return err;
    err = finding_newest(finding, feed, &seq);
    if (err == OK) finding->feeds[finding->count++] = (struct named_feed){ .id = *feed, .match = match, .seq = seq };
    return err;
}

/* All names from one of whose words on they begin with `prefix`. */
static int finding_walk(struct finding *finding, struct slice prefix)
{
    const struct view *view = flume_view(finding->read->flume, VIEW_names);
    struct kv_cursor *cursor;
    struct slice key, value, part;
    struct ref feed;
    bool first;
    int err = kv_cursor_open(finding->read->txn, view->tables[NAMES_KEYS], &cursor);
    if (err != OK) return err;
    int found = kv_seek(cursor, prefix, &key, &value);
    for (size_t looked = 0; found == 1 && looked < NAMES_LOOKED_MAX; looked++) {
        if (finding->count >= NAMES_FOUND_MAX || key.len < prefix.len || memcmp(key.data, prefix.data, prefix.len) != 0)
            break;
        err = name_key_read(key, &part, &first, &feed);
        enum name_match match = err == OK ? name_part_matches(finding->typed, part, first) : NAME_NONE;
        if (match != NAME_NONE) err = finding_add(finding, &feed, match);
        found = err == OK ? kv_next(cursor, &key, &value) : err;
    }
    kv_cursor_close(cursor);
    return found < 0 ? found : OK;
}

static int named_compare(const void *a, const void *b)
{
    const struct named_feed *left = a, *right = b;
    if (left->match != right->match) return left->match < right->match ? -1 : 1;
    if (left->seq != right->seq) return left->seq > right->seq ? -1 : 1;
    return memcmp(left->id.id, right->id.id, sizeof left->id.id);
}

int names_find(const struct flume_read *read, struct slice typed, int64_t upto, struct named_feed **ret_feeds,
               size_t *ret_count)
{
    struct folded_name folded;
    struct finding finding = { .read = read, .upto = upto };
    name_fold(typed, false, &folded);
    if (folded.len == 0) return err_set(ERR_ARG, "name: a letter is wanted");
    finding.typed = name_part(&folded, 0);
    index_keys_init(&finding.known, 0);
    size_t letter = 1;
    while (letter < finding.typed.len && ((unsigned char)finding.typed.data[letter] & 0xC0) == 0x80)
        letter++;
    int err = finding_walk(&finding, finding.typed);
    if (err == OK) err = finding_walk(&finding, (struct slice){ finding.typed.data, letter });
    index_keys_free(&finding.known);
    if (err != OK) {
        free(finding.feeds);
        return err;
    }
    if (finding.count > 0) qsort(finding.feeds, finding.count, sizeof *finding.feeds, named_compare);
    *ret_feeds = finding.feeds;
    *ret_count = finding.count;
    return OK;
}

/* ---- what a feed is called now ---------------------------------------------------------------------------------------- */

struct naming {
    bool found;
    struct buf *text;
    struct current_name name;
};

static int naming_take(void *ctx, const struct about_value *value)
{
    struct naming *naming = ctx;
    static const char field[] = "name";
    if (value->field.len != sizeof field - 1 || memcmp(value->field.data, field, sizeof field - 1) != 0) return 0;
    if (!json_is_string(value->value)) return 0;
    naming->found = true;
    naming->name = (struct current_name){ .seq = value->seq, .author = value->author };
    buf_reset(naming->text);
    return buf_append(naming->text, value->value.data, value->value.len);
}

int names_now(const struct flume_read *read, const struct ref *feed, struct buf *text, struct current_name *ret_name)
{
    struct naming naming = { .found = false, .text = text };
    buf_reset(text);
    int err = about_get(read, feed, ABOUT_SOCIAL, NULL, naming_take, &naming);
    if (err != OK) return err;
    if (naming.found) *ret_name = naming.name;
    return naming.found;
}
