#include "views/view_names.h"

#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/name_key.h"
#include "views/view_batch.h"
#include "views/view_record.h"
#include "views/words.h"

void name_fold(struct slice text, bool escaped, struct folded_name *ret_name)
{
    struct words words;
    struct word word;
    ret_name->len = ret_name->part_count = 0;
    words_open(text, escaped, &words);
    while (words_next(&words, &word)) {
        size_t space = ret_name->len > 0;
        if (ret_name->len + space + word.len > NAME_BYTES_MAX) break;
        if (space) ret_name->text[ret_name->len++] = ' ';
        if (ret_name->part_count < NAME_PARTS_MAX) ret_name->parts[ret_name->part_count++] = ret_name->len;
        memcpy(ret_name->text + ret_name->len, word.text, word.len);
        ret_name->len += word.len;
    }
}

size_t name_key(const struct folded_name *name, size_t part, const struct ref *feed, uint8_t key[NAME_KEY_MAX])
{
    const struct slice text = name_part(name, part);
    memcpy(key, text.data, text.len);
    key[text.len] = '\0';
    key[text.len + 1] = part > 0;
    key[text.len + 2] = feed->kind;
    memcpy(key + text.len + 3, feed->id, sizeof feed->id);
    return text.len + 3 + sizeof feed->id;
}

int name_key_read(struct slice key, struct slice *ret_text, bool *ret_first, struct ref *ret_feed)
{
    size_t tail = 3 + sizeof ret_feed->id;
    if (key.len <= tail) return err_set(ERR_CORRUPT, "a key of the view names is too short; rebuild it");
    const char *end = key.data + key.len - tail;
    *ret_text = (struct slice){ key.data, key.len - tail };
    *ret_first = end[1] == 0;
    ret_feed->kind = (uint8_t)end[2];
    memcpy(ret_feed->id, end + 3, sizeof ret_feed->id);
    return OK;
}

struct slice name_part(const struct folded_name *name, size_t part)
{
    size_t from = name->parts[part], len = name->len - from;
    if (len > NAME_KEY_BYTES) {
        len = NAME_KEY_BYTES;
        while (len > 0 && ((unsigned char)name->text[from + len] & 0xC0) == 0x80)
            len--;
    }
    return (struct slice){ name->text + from, len };
}

/* Of which feed a message says which name: OK or ERR_REF. */
static int name_said(const struct message *message, struct ref *ret_feed, struct slice *ret_name)
{
    struct slice about, name;
    struct ref feed;
    if (message->is_private || message->author_ref.kind == REF_NONE) return ERR_REF;
    if (!slice_equal(message->type, SLICE_LITERAL("about"))) return ERR_REF;
    if (json_find(message->content, "about", &about) != 1 || record_ref(about, &feed) != OK) return ERR_REF;
    if (feed.kind != REF_FEED && feed.kind != REF_FEED_SHA256) return ERR_REF;
    if (json_find(message->content, "name", &name) != 1 || !json_is_string(name)) return ERR_REF;
    *ret_feed = feed;
    *ret_name = (struct slice){ name.data + 1, name.len - 2 };
    return OK;
}

static int names_gather(struct view_batch *batch, const struct view_record *record)
{
    struct ref feed;
    struct slice text;
    struct folded_name name;
    uint8_t key[NAME_KEY_MAX];
    int err = OK;
    if (name_said(record->message, &feed, &text) != OK) return OK;
    name_fold(text, true, &name);
    for (size_t i = 0; err == OK && i < name.part_count; i++) {
        const struct slice bytes = { (const char *)key, name_key(&name, i, &feed, key) };
        err = register_batch_offer(batch->registers[NAMES_KEYS], bytes, 0, message_rts(record->message), record->seq);
    }
    return err;
}

static const enum register_rule names_rules[] = { REGISTER_LARGEST };

const struct view_ops view_names_ops = {
    .name = "names",
    .version = 1,
    .tables =
        (const struct view_table[]){
            { .name = "keys", .shape = TABLE_REGISTERS, .slots = 1, .rules = names_rules },
            { .name = NULL },
        },
    .gather = names_gather,
};
