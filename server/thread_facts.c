#include <stdlib.h>
#include <string.h>

#include "server/rows_thread.h"
#include "server/text.h"
#include "store/json.h"
#include "views/thread_tally.h"
#include "views/view_record.h"

/* Ten thousand messages, each with a few facts of a hundred bytes. */
#define FACTS_BYTES_MAX ((size_t)16 << 20)

static int id_compare(const void *a, const void *b)
{
    char left[REF_TEXT_MAX], right[REF_TEXT_MAX];
    size_t len = ref_print(a, left);
    (void)ref_print(b, right);
    return memcmp(left, right, len);
}

/* The root of the thread that this one came out of. */
static void facts_put_parent(const struct thread_facts *facts, struct buf *out)
{
    struct ref parent = { .kind = REF_NONE };
    struct slice content, root;
    for (size_t i = 0; i < facts->thread.count; i++) {
        const struct thread_message *message = &facts->thread.messages[i];
        if (!ref_equal(&message->id, &facts->root)) continue;
        if (record_content(message->record.value, &content) == 1 && json_find(content, "root", &root) == 1 &&
            (record_ref(root, &parent) != OK || parent.kind != REF_MESSAGE))
            parent.kind = REF_NONE;
    }
    (void)buf_puts(out, "\"parent\":");
    text_put_ref(out, &parent);
    (void)buf_putc(out, ',');
}

static int facts_put_heads(const struct thread *thread, struct buf *out)
{
    size_t count = 0;
    struct ref *heads = calloc(thread->count + 1, sizeof *heads);
    if (heads == NULL) return err_set(ERR_NOMEM, "no memory for the heads of a thread");
    for (size_t i = 0; i < thread->count; i++)
        if (!thread->messages[i].referred) heads[count++] = thread->messages[i].id;
    qsort(heads, count, sizeof *heads, id_compare);
    (void)buf_puts(out, "\"heads\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) (void)buf_putc(out, ',');
        text_put_ref(out, &heads[i]);
    }
    (void)buf_puts(out, "],");
    free(heads);
    return out->err;
}

static void facts_put_missing(const struct thread *thread, struct buf *out)
{
    (void)buf_puts(out, "\"missing\":[");
    for (size_t i = 0; i < thread->missing_count; i++) {
        if (i > 0) (void)buf_putc(out, ',');
        text_put_ref(out, &thread->missing[i]);
    }
    (void)buf_puts(out, "],");
}

/* "votes":{ID:COUNT…} and "forks":{…} of the messages that have any. */
static void facts_put_tallies(const struct thread_facts *facts, const struct thread_tally *tallies, bool forks,
                              struct buf *out)
{
    const char *comma = "";
    (void)buf_puts(out, forks ? "\"forks\":{" : "\"votes\":{");
    for (size_t i = 0; i < facts->thread.count; i++) {
        const struct ref *id = &facts->thread.messages[i].id;
        uint64_t count = forks ? tallies[i].forks : tallies[i].votes;
        if (count == 0 || (forks && ref_equal(id, &facts->root))) continue;
        (void)buf_puts(out, comma);
        text_put_ref(out, id);
        (void)buf_printf(out, ":%llu", (unsigned long long)count);
        comma = ",";
    }
    (void)buf_puts(out, "},");
}

static int facts_put(const struct flume_read *read, struct thread_facts *facts)
{
    struct buf *out = &facts->head;
    struct thread_tally *tallies;
    (void)buf_puts(out, "\"root\":");
    text_put_ref(out, &facts->root);
    (void)buf_putc(out, ',');
    facts_put_parent(facts, out);
    int err = facts_put_heads(&facts->thread, out);
    facts_put_missing(&facts->thread, out);
    if (err == OK) err = thread_tallies(read, &facts->thread, &facts->root, &tallies);
    if (err != OK) return err;
    facts_put_tallies(facts, tallies, false, out);
    facts_put_tallies(facts, tallies, true, out);
    free(tallies);
    return out->err;
}

int thread_facts_read(const struct flume_read *read, const struct ref *root, bool hide_private,
                      struct thread_facts *ret_facts)
{
    struct thread_facts facts = { .root = *root, .log = read->log };
    int err = thread_read(read, root, hide_private, &facts.thread);
    if (err != OK) return err;
    facts.since = flume_read_since(read, flume_view(read->flume, VIEW_links));
    buf_init(&facts.head, FACTS_BYTES_MAX);
    err = facts_put(read, &facts);
    if (err == OK)
        *ret_facts = facts;
    else
        thread_facts_free(&facts);
    return err;
}

void thread_facts_free(struct thread_facts *facts)
{
    thread_free(&facts->thread);
    buf_free(&facts->head);
}
