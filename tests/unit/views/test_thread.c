/* Small threads, each with a rule of its own. Whole logs are held against npm ssb-sort in tests/conformance/threads.test.js. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/thread.h"

#define TEXTS_MAX 8
#define TEXT_BYTES 512

static struct corpus_flume served;
static char texts[TEXTS_MAX][TEXT_BYTES];
static size_t text_count;

/* Message `n`, received at `time`; `rest` is more of its content: printf with ids of messages as %s. */
static void say(unsigned n, int time, const char *rest, unsigned first, unsigned second)
{
    char own[REF_TEXT_MAX + 1], a[REF_TEXT_MAX + 1], b[REF_TEXT_MAX + 1], author[REF_TEXT_MAX + 1], more[256];
    corpus_text(REF_MESSAGE, n, own);
    corpus_text(REF_MESSAGE, first, a);
    corpus_text(REF_MESSAGE, second, b);
    corpus_text(REF_FEED, 0, author);
    size_t len = 0;
    for (const char *at = rest; *at != '\0' && len < sizeof more - REF_TEXT_MAX - 1; at++) {
        const char *id = *at == '1' ? a : *at == '2' ? b : NULL;
        if (id != NULL)
            len += (size_t)snprintf(more + len, sizeof more - len, "%s", id);
        else
            more[len++] = *at;
    }
    more[len] = '\0';
    (void)snprintf(texts[text_count++], TEXT_BYTES,
                   "{\"key\":\"%s\",\"value\":{\"author\":\"%s\",\"timestamp\":5,\"content\":%s},\"timestamp\":%d}",
                   own, author, more, time);
}

static void serve(void)
{
    const char *pointers[TEXTS_MAX];
    for (size_t i = 0; i < text_count; i++)
        pointers[i] = texts[i];
    corpus_serve_texts(pointers, text_count, &served);
}

static void stop(void)
{
    corpus_stop(&served);
    text_count = 0;
}

/* The thread of message 0 is these, in this order; answers how many ids are missing. */
static size_t thread_is(const unsigned *numbers, size_t count, bool hide_private)
{
    struct flume_read read;
    struct thread thread;
    struct ref root, id;
    corpus_ref(REF_MESSAGE, 0, &root);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(thread_read(&read, &root, hide_private, &thread), OK);
    cr_assert_eq(thread.count, count);
    for (size_t i = 0; i < count; i++) {
        corpus_ref(REF_MESSAGE, numbers[i], &id);
        cr_assert(ref_equal(&thread.messages[i].id, &id), "message %zu", i);
    }
    size_t missing = thread.missing_count;
    thread_free(&thread);
    flume_read_end(&read);
    return missing;
}

/* A root and replies to it: as many messages as that. */
static int thread_of(unsigned count)
{
    char **lines = calloc(count, sizeof *lines), root_text[REF_TEXT_MAX + 1] = "", own[REF_TEXT_MAX + 1] = "";
    struct flume_read read;
    struct thread thread = { .count = 0 };
    struct ref root = { .kind = REF_MESSAGE }, id = { .kind = REF_MESSAGE };
    (void)ref_print(&root, root_text);
    for (unsigned n = 0; n < count; n++) {
        memcpy(id.id, &n, sizeof n);
        (void)ref_print(&id, own);
        lines[n] = malloc(TEXT_BYTES);
        (void)snprintf(lines[n], TEXT_BYTES, "{\"key\":\"%s\",\"value\":{\"content\":{\"type\":\"post\"%s%s%s}}}", own,
                       n > 0 ? ",\"root\":\"" : "", n > 0 ? root_text : "", n > 0 ? "\"" : "");
    }
    corpus_serve_texts((const char *const *)lines, count, &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    int err = thread_read(&read, &root, false, &thread);
    cr_expect_eq(thread.count, err == OK ? count : 0);
    thread_free(&thread);
    flume_read_end(&read);
    for (unsigned n = 0; n < count; n++)
        free(lines[n]);
    free(lines);
    stop();
    return err;
}

Test(thread, as_many_messages_as_that_and_not_one_more, .timeout = 300)
{
    cr_expect_eq(thread_of(THREAD_MESSAGES_MAX), OK);
    cr_expect_eq(thread_of(THREAD_MESSAGES_MAX + 1), ERR_LIMIT);
}

#define REPLY "{\"type\":\"post\",\"root\":\"1\",\"branch\":\"2\"}"

Test(thread, a_reply_stands_behind_what_it_names_whatever_the_time)
{
    say(0, 50, "{\"type\":\"post\"}", 0, 0);
    say(4, 10, REPLY, 0, 2);
    say(2, 40, REPLY, 0, 0);
    say(6, 30, REPLY, 0, 0);
    serve();
    cr_assert_eq(thread_is((unsigned[]){ 0, 6, 2, 4 }, 4, false), 0);
    stop();
}

Test(thread, a_message_stands_behind_the_one_before_it_in_its_feed)
{
    say(0, 50, "{\"type\":\"post\"}", 0, 0);
    say(4, 10, "{\"type\":\"post\",\"root\":\"1\"},\"previous\":\"2\"", 0, 2);
    say(2, 40, "{\"type\":\"post\",\"root\":\"1\"}", 0, 0);
    serve();
    cr_assert_eq(thread_is((unsigned[]){ 0, 2, 4 }, 3, false), 0);
    stop();
}

Test(thread, a_lost_root_and_a_lost_branch_are_named)
{
    say(2, 10, REPLY, 0, 8);
    say(4, 20, REPLY, 0, 8);
    serve();
    cr_assert_eq(thread_is((unsigned[]){ 2, 4 }, 2, false), 2);
    stop();
}

Test(thread, copies_are_left_out)
{
    say(0, 10, "{\"type\":\"post\"}", 0, 0);
    say(2, 20, REPLY, 0, 0);
    say(2, 20, REPLY, 0, 0);
    serve();
    cr_assert_eq(thread_is((unsigned[]){ 0, 2 }, 2, false), 0);
    stop();
}

Test(thread, an_encrypted_root_is_not_there_for_the_public)
{
    say(0, 10, "\"bm90aGluZw==.box\"", 0, 0);
    say(2, 20, REPLY, 0, 0);
    serve();
    cr_assert_eq(thread_is((unsigned[]){ 0, 2 }, 2, false), 0);
    cr_assert_eq(thread_is((unsigned[]){ 2 }, 1, true), 1);
    stop();
}

Test(thread, nothing_is_not_a_thread)
{
    struct flume_read read;
    struct thread thread;
    struct ref root;
    say(2, 20, "{\"type\":\"post\"}", 0, 0);
    serve();
    corpus_ref(REF_MESSAGE, 0, &root);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    cr_assert_eq(thread_read(&read, &root, false, &thread), ERR_NOTFOUND);
    flume_read_end(&read);
    stop();
}
