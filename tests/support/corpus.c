#include "tests/support/corpus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/flume_kit.h"
#include "views/index_list.h"
#include "views/index_registers.h"

static void must(bool ok, const char *what, int err)
{
    if (ok) return;
    (void)fprintf(stderr, "corpus: %s: %s (%s)\n", what, err_name(err), err_detail(err));
    abort();
}

/* ---- ids ---------------------------------------------------------------------------------------------------- */

void corpus_ref(int kind, unsigned n, struct ref *ret_ref)
{
    unsigned front = kind == REF_MESSAGE ? n / 2 : n;
    ret_ref->kind = (uint8_t)kind;
    for (unsigned i = 0; i < sizeof ret_ref->id; i++)
        ret_ref->id[i] = (uint8_t)((i < 8 ? front : n) * (2 * i + 37) + (unsigned)kind + i);
}

size_t corpus_text(int kind, unsigned n, char text[REF_TEXT_MAX + 1])
{
    struct ref ref;
    corpus_ref(kind, n, &ref);
    size_t len = ref_print(&ref, text);
    text[len] = '\0';
    return len;
}

static void put_id(struct buf *out, int kind, unsigned n)
{
    char text[REF_TEXT_MAX + 1];
    (void)buf_append(out, text, corpus_text(kind, n, text));
}

static void put_any_id(struct buf *out, struct dice *dice)
{
    switch (dice_roll(dice, 4)) {
    case 0: put_id(out, REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS)); break;
    case 1: put_id(out, REF_BLOB, (unsigned)dice_roll(dice, CORPUS_BLOBS)); break;
    default: put_id(out, REF_MESSAGE, (unsigned)dice_roll(dice, CORPUS_MESSAGES)); break;
    }
}

/* ---- contents ----------------------------------------------------------------------------------------------- */

static const char *pick(struct dice *dice, const char *const *from, size_t n)
{
    return from[dice_roll(dice, n)];
}
#define PICK(dice, list) pick(dice, list, sizeof(list) / sizeof(list)[0])

static const char *const channels[] = { "solarpunk", "#Solar Punk!", "ssb", "SSB", "\\u00c5\\u00c4\\u00d6", "()", "" };

static void put_post(struct buf *out, struct dice *dice)
{
    static const char *const texts[] = {
        "hello",
        "hello boat",
        "Boat, hello; CAFE\xCC\x81!",
        "a \\u0062oat\\nboat",
        "小猫犬 ssb",
        "ssb猫犬鳥です",
        "เรือ hello boat",
        "boats hell",
        "",
        "🦀🐚 boat",
    };
    (void)buf_printf(out, "{\"type\":\"post\",\"text\":\"%s\"", texts[dice_roll(dice, sizeof texts / sizeof *texts)]);
    if (dice_roll(dice, 2) == 0) {
        (void)buf_puts(out, ",\"root\":\"");
        put_id(out, dice_roll(dice, 9) == 0 ? REF_BLOB : REF_MESSAGE, (unsigned)dice_roll(dice, 6));
        (void)buf_puts(out, "\"");
    }
    if (dice_roll(dice, 2) == 0) (void)buf_printf(out, ",\"channel\":\"%s\"", PICK(dice, channels));
    (void)buf_puts(out, ",\"mentions\":[");
    for (uint64_t i = 0, n = dice_roll(dice, 4); i < n; i++) {
        (void)buf_puts(out, i > 0 ? ",{\"link\":\"" : "{\"link\":\"");
        put_any_id(out, dice);
        (void)buf_puts(out, "\"}");
    }
    (void)buf_puts(out, "]}");
}

static void put_other(struct buf *out, struct dice *dice)
{
    static const char *const types[] = { "vote", "contact", "vo\\u0074e", "", "a\\u0000b", "a\\u0001b", "git-update" };
    static const char *const rels[] = { "vote", "branch", "r\\u006foot", "a very odd \\\"rel\\\"" };
    (void)buf_printf(out, "{\"type\":\"%s", PICK(dice, types));
    for (uint64_t i = 0, n = dice_roll(dice, 8) == 0 ? 200 : 0; i < n; i++)
        (void)buf_putc(out, 'x');
    (void)buf_puts(out, "\"");
    for (uint64_t i = 0, n = dice_roll(dice, 3); i < n; i++) {
        (void)buf_printf(out, ",\"%s\":[\"", PICK(dice, rels));
        put_any_id(out, dice);
        (void)buf_puts(out, "\",{\"deep\":\"");
        put_any_id(out, dice);
        (void)buf_puts(out, "\"}]");
    }
    (void)buf_puts(out, "}");
}

#define LONG_NAME                                                                                                      \
    "a field with a name that is far longer than what a term keeps of it, so that it ends in a hash and must be read " \
    "from the record itself to be shown to anybody, as it should be, but still no longer than other people's names"

static void put_about(struct buf *out, struct dice *dice)
{
    static const char *const fields[] = { "name", "name", "n\\u0061me", "image", "description", "", "1", LONG_NAME };
    static const char *const values[] = { "\"ada\"",
                                          "\"ada\"",
                                          "\"a\\u0064a\"",
                                          "\"bob\"",
                                          "\"\"",
                                          "null",
                                          "false",
                                          "true",
                                          "0",
                                          "7",
                                          "{\"link\":\"ada\"}",
                                          "{\"link\":\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"}",
                                          "\"&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256\"",
                                          "{\"link\":\"ada\",\"remove\":true}",
                                          "{\"link\":\"bob\",\"remove\":false}",
                                          "{\"remove\":1}",
                                          "{\"remove\":\"\"}",
                                          "{\"link\":7}",
                                          "{\"link\":\"\"}",
                                          "[]",
                                          "[\"ada\"]",
                                          "{}" };
    (void)buf_puts(out, "{\"about\":\"");
    switch (dice_roll(dice, 8)) {
    case 0: put_id(out, REF_BLOB, 0); break;
    case 1: (void)buf_puts(out, "nobody"); break;
    case 2:
    case 3: put_id(out, REF_MESSAGE, (unsigned)dice_roll(dice, 4)); break;
    default: put_id(out, REF_FEED, (unsigned)dice_roll(dice, 3)); break;
    }
    (void)buf_printf(out, "\",\"type\":\"%s\"", dice_roll(dice, 12) == 0 ? "abouts" : "about");
    for (uint64_t i = 0, n = dice_roll(dice, 4); i < n; i++) {
        const char *field = PICK(dice, fields);
        (void)buf_printf(out, ",\"%s\":%s", field, PICK(dice, values));
    }
    (void)buf_puts(out, "}");
}

static void put_contact(struct buf *out, struct dice *dice)
{
    static const char *const values[] = { "true", "true", "true", "false", "null", "\"true\"", "1", "0", "{}" };
    (void)buf_puts(out, "{\"type\":\"contact\",\"contact\":\"");
    put_id(out, dice_roll(dice, 12) == 0 ? REF_MESSAGE : REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS));
    (void)buf_puts(out, "\"");
    if (dice_roll(dice, 8) > 0) (void)buf_printf(out, ",\"following\":%s", PICK(dice, values));
    if (dice_roll(dice, 4) == 0) (void)buf_printf(out, ",\"blocking\":%s", PICK(dice, values));
    if (dice_roll(dice, 12) == 0) (void)buf_printf(out, ",\"flagged\":%s", PICK(dice, values));
    (void)buf_puts(out, "}");
}

static void put_vote(struct buf *out, struct dice *dice)
{
    static const char *const values[] = { "1", "1", "1", "0", "-1", "0.5", "\"1\"", "null", "true" };
    static const char *const expressions[] = { "\"Like\"", "\"Like\"", "\"L\\u0069ke\"",
                                               "\"\"",     "5",        "\"\\ud83d\\udc4d\"" };
    (void)buf_puts(out, "{\"type\":\"vote\",\"vote\":{\"link\":\"");
    if (dice_roll(dice, 12) == 0)
        (void)buf_puts(out, "nothing");
    else
        put_id(out, dice_roll(dice, 6) == 0 ? REF_BLOB : REF_MESSAGE, (unsigned)dice_roll(dice, 4));
    (void)buf_printf(out, "\",\"value\":%s", PICK(dice, values));
    if (dice_roll(dice, 5) > 0) (void)buf_printf(out, ",\"expression\":%s", PICK(dice, expressions));
    (void)buf_puts(out, "}}");
}

static void put_content(struct buf *out, struct dice *dice)
{
    switch (dice_roll(dice, 12)) {
    case 0: (void)buf_puts(out, "\"bm90aGluZyB0byBzZWU=.box\""); break;
    case 1:
    case 2: put_post(out, dice); break;
    case 3: put_other(out, dice); break;
    case 4: (void)buf_puts(out, dice_roll(dice, 2) == 0 ? "{}" : "[1,2]"); break;
    case 5:
    case 6: put_contact(out, dice); break;
    case 7:
    case 8: put_vote(out, dice); break;
    default: put_about(out, dice); break;
    }
}

static void put_record(struct buf *out, struct dice *dice, int64_t n)
{
    static const char *const odd[] = {
        "42", "\"text\"", "{}", "[]", "{\"key\":1,\"value\":2}", "{\"value\":{\"content\":"
    };
    if (dice_roll(dice, 15) == 0) {
        (void)buf_puts(out, PICK(dice, odd));
        return;
    }
    (void)buf_puts(out, "{\"key\":\"");
    put_id(out, REF_MESSAGE, (unsigned)dice_roll(dice, CORPUS_MESSAGES));
    (void)buf_puts(out, "\",\"value\":{\"author\":\"");
    put_id(out, dice_roll(dice, 20) == 0 ? REF_BLOB : REF_FEED, (unsigned)dice_roll(dice, CORPUS_AUTHORS));
    (void)buf_puts(out, "\"");
    if (dice_roll(dice, 20) > 0)
        (void)buf_printf(out, ",\"sequence\":%lld",
                         dice_roll(dice, 4) == 0 ? (long long)dice_roll(dice, 20) : (long long)n);
    if (dice_roll(dice, 20) > 0) (void)buf_printf(out, ",\"timestamp\":%d", (int)dice_roll(dice, 200));
    (void)buf_puts(out, ",\"content\":");
    put_content(out, dice);
    (void)buf_puts(out, "}");
    if (dice_roll(dice, 20) > 0) (void)buf_printf(out, ",\"timestamp\":%d.5", (int)dice_roll(dice, 200));
    (void)buf_puts(out, "}");
}

void corpus_make(struct dice *dice, size_t count, struct corpus *ret_corpus)
{
    *ret_corpus = (struct corpus){ .count = count,
                                   .texts = calloc(count + 1, sizeof(char *)),
                                   .messages = calloc(count + 1, sizeof(struct message)),
                                   .records = calloc(count + 1, sizeof(struct view_record)) };
    for (size_t i = 0; i < count; i++) {
        struct buf text;
        buf_init(&text, 65536);
        put_record(&text, dice, (int64_t)i);
        (void)buf_putc(&text, '\0');
        must(text.err == OK, "a record", text.err);
        ret_corpus->texts[i] = text.data;
        struct message *message = &ret_corpus->messages[i];
        message_init(message);
        int err = message_scan(message, text.data, text.len - 1);
        must(err == OK, "message_scan", err);
        ret_corpus->records[i] = (struct view_record){ (int64_t)i * 10, message };
    }
}

void corpus_free(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->count; i++) {
        message_free(&corpus->messages[i]);
        free(corpus->texts[i]);
    }
    free(corpus->texts);
    free(corpus->messages);
    free(corpus->records);
    *corpus = (struct corpus){ 0 };
}

/* ---- a flume over records --------------------------------------------------------------------------------------- */

static int serve_open_log(void *ctx, struct log **ret_log)
{
    const struct log_offset_options options = { .path = ctx };
    return log_offset_open(&options, NULL, ret_log);
}

static struct log *serve_make_log(struct corpus_flume *served)
{
    struct log *log;
    served->dir = scratch_make();
    served->views_dir = scratch_make();
    scratch_path(served->dir, "log.offset", served->path);
    int err = serve_open_log(served->path, &log);
    must(err == OK, "making a log", err);
    return log;
}

static int64_t serve_put(struct log *log, const char *text)
{
    const struct slice value = { text, strlen(text) };
    int64_t seq = SEQ_EMPTY;
    int err = log_append(log, &value, 1, &seq);
    must(err == OK, "appending", err);
    return seq;
}

static void serve_start(struct corpus_flume *served, struct log *log)
{
    int err = log_sync(log);
    must(err == OK, "syncing a log", err);
    log_close(log);
    const struct flume_options options = {
        .open_log = serve_open_log, .open_ctx = served->path, .views_dir = served->views_dir, .accept_any = true
    };
    served->flume = kit_open(&options);
    corpus_settle(served);
}

void corpus_serve(struct corpus *corpus, struct corpus_flume *ret_served)
{
    struct log *log = serve_make_log(ret_served);
    for (size_t i = 0; i < corpus->count; i++)
        corpus->records[i].seq = serve_put(log, corpus->texts[i]);
    serve_start(ret_served, log);
}

void corpus_serve_texts(const char *const *texts, size_t count, struct corpus_flume *ret_served)
{
    struct log *log = serve_make_log(ret_served);
    for (size_t i = 0; i < count; i++)
        (void)serve_put(log, texts[i]);
    serve_start(ret_served, log);
}

void corpus_delete(struct corpus_flume *served, int64_t seq)
{
    struct log_record record;
    int err = log_get(flume_log(served->flume), seq, &record);
    must(err == OK, "the record to delete", err);
    char *zeros = calloc(1, record.value.len);
    must(zeros != NULL, "memory", ERR_NOMEM);
    scratch_write_at(served->path, zeros, record.value.len, seq + 4);
    free(zeros);
}

void corpus_settle(struct corpus_flume *served)
{
    int err = kit_wait_head(served->flume, (UINT32_C(1) << VIEW_COUNT) - 1);
    must(err == OK, "waiting for the views", err);
}

void corpus_stop(struct corpus_flume *served)
{
    flume_close(served->flume);
    scratch_remove(served->dir);
    scratch_remove(served->views_dir);
}

/* ---- views without a flume --------------------------------------------------------------------------------------- */

void corpus_kv_open(struct corpus_kv *ret_store)
{
    ret_store->dir = scratch_make();
    int err = kv_open(ret_store->dir, true, NULL, &ret_store->kv);
    must(err == OK, "kv_open", err);
}

void corpus_kv_reopen(struct corpus_kv *store)
{
    kv_close(store->kv);
    int err = kv_open(store->dir, true, NULL, &store->kv);
    must(err == OK, "kv_open", err);
}

void corpus_kv_close(struct corpus_kv *store)
{
    kv_close(store->kv);
    scratch_remove(store->dir);
}

static void dump_slice(struct buf *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        (void)buf_printf(out, "%02x", (unsigned char)bytes.data[i]);
}

void corpus_dump_table(struct kv_txn *txn, kv_table table, struct buf *out)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(txn, table, &cursor);
    must(err == OK, "kv_cursor_open", err);
    int found = kv_first(cursor, &key, &value);
    for (; found == 1; found = kv_next(cursor, &key, &value)) {
        dump_slice(out, key);
        (void)buf_puts(out, " = ");
        dump_slice(out, value);
        (void)buf_puts(out, "\n");
    }
    must(found == 0 && out->err == OK, "reading a table", found);
    kv_cursor_close(cursor);
}

bool corpus_joins(struct kv_txn *txn, kv_table table)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(txn, table, &cursor);
    must(err == OK, "kv_cursor_open", err);
    int found = kv_last(cursor, &key, &value);
    kv_cursor_close(cursor);
    return found == 1 && key.len == 4 && memcmp(key.data, "\xFF\xFF\xFF\xFF", 4) == 0;
}

static void copy_table(struct kv_txn *from, kv_table table, struct kv_txn *to, kv_table copy)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(from, table, &cursor);
    must(err == OK, "kv_cursor_open", err);
    for (int found = kv_first(cursor, &key, &value); found == 1; found = kv_next(cursor, &key, &value)) {
        err = kv_append(to, copy, key, value);
        must(err == OK, "kv_append", err);
    }
    kv_cursor_close(cursor);
}

void corpus_dump_postings(struct kv_txn *txn, kv_table table, struct buf *out)
{
    struct corpus_kv store;
    struct kv_txn *to;
    kv_table copy = 0;
    if (!corpus_joins(txn, table)) {
        corpus_dump_table(txn, table, out);
        return;
    }
    corpus_kv_open(&store);
    int err = kv_begin_write(store.kv, &to);
    if (err == OK) err = kv_table_open(to, "copy", false, &copy);
    must(err == OK, "kv_table_open", err);
    copy_table(txn, table, to, copy);
    err = list_settle(to, copy);
    must(err == OK, "list_settle", err);
    corpus_dump_table(to, copy, out);
    kv_abort(to);
    corpus_kv_close(&store);
}

void corpus_dump(struct kv_txn *txn, const struct view *view, struct buf *out)
{
    const struct view_ops *ops = view->ops;
    for (size_t i = 0; ops->fields != NULL && ops->fields[i].name != NULL; i++) {
        (void)buf_printf(out, "field %s\n", ops->fields[i].name);
        corpus_dump_postings(txn, view->fields[i], out);
    }
    for (size_t i = 0; ops->tables != NULL && ops->tables[i].name != NULL; i++) {
        (void)buf_printf(out, "table %s\n", ops->tables[i].name);
        if (ops->tables[i].shape == TABLE_POSTINGS)
            corpus_dump_postings(txn, view->tables[i], out);
        else
            corpus_dump_table(txn, view->tables[i], out);
    }
}

/* ---- entry by entry --------------------------------------------------------------------------------------------- */

static void print_list(struct kv_txn *txn, const char *name, kv_table table, bool payload, struct buf *out)
{
    struct term term = { 0 };
    uint64_t count, last;
    while (list_next_term(txn, table, payload, term.len == 0 ? NULL : &term, &term, &count, &last) == 1) {
        struct list_iter iter;
        struct list_entry entry;
        int err = list_iter_open(txn, table, payload, &term, false, &iter);
        must(err == OK, "list_iter_open", err);
        while (list_next(&iter, &entry) == 1) {
            (void)buf_printf(out, "%s ", name);
            dump_slice(out, (struct slice){ (const char *)term.bytes, term.len });
            (void)buf_printf(out, " %" PRIu64 " %" PRIu64 "\n", entry.at, entry.payload);
        }
        list_iter_close(&iter);
    }
}

/* `slots` 0: the value as it is. */
static void print_table(struct kv_txn *txn, const char *name, kv_table table, size_t slots, struct buf *out)
{
    struct register_slot registers[REGISTER_SLOTS_MAX];
    struct kv_cursor *cursor;
    struct slice key, value;
    int err = kv_cursor_open(txn, table, &cursor);
    must(err == OK, "kv_cursor_open", err);
    for (int found = kv_first(cursor, &key, &value); found == 1; found = kv_next(cursor, &key, &value)) {
        if (slots > 0) err = register_read(value, slots, registers);
        must(err == OK, "register_read", err);
        for (size_t i = 0; i < slots || i == 0; i++) {
            if (slots > 0 && registers[i].seq == SEQ_EMPTY) continue;
            (void)buf_printf(out, "%s ", name);
            dump_slice(out, key);
            if (slots > 0)
                (void)buf_printf(out, " %zu %.17g %" PRId64, i, registers[i].order, registers[i].seq);
            else
                dump_slice(out, value);
            (void)buf_puts(out, "\n");
        }
    }
    kv_cursor_close(cursor);
}

void corpus_print(struct kv_txn *txn, const struct view *view, struct buf *out)
{
    const struct view_ops *ops = view->ops;
    for (size_t i = 0; ops->fields != NULL && ops->fields[i].name != NULL; i++)
        print_list(txn, ops->fields[i].name, view->fields[i], false, out);
    for (size_t i = 0; ops->tables != NULL && ops->tables[i].name != NULL; i++) {
        const struct view_table *table = &ops->tables[i];
        if (table->shape == TABLE_POSTINGS || table->shape == TABLE_LIST)
            print_list(txn, table->name, view->tables[i], table->shape == TABLE_LIST, out);
        else
            print_table(txn, table->name, view->tables[i], table->slots, out);
    }
}
