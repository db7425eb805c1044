/* The view against a loop that knows nothing of registers: it keeps every value that was ever given, and sorts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "tests/support/corpus.h"
#include "views/view_about.h"

#define RECORDS 400
#define GIVEN_MAX 4000
#define TEXT_MAX 300

/* One value that a message gives to a field. */
struct given {
    char field[TEXT_MAX];
    struct slice value;
    struct ref target, author;
    double rts;
    int64_t seq;
};

struct play {
    struct dice dice;
    struct corpus corpus;
    struct corpus_flume served;
    struct flume_read read;
    struct given *given;
    size_t count;
};

#define PLAY_ASSERT(play, condition) \
    cr_assert(condition, "SLUICE_TEST_SEED=%llu: " #condition, (unsigned long long)(play)->dice.seed)

/* ---- the model ---------------------------------------------------------------------------------------------- */

/* A raw JSON string as text; the corpus has none with NUL. */
static void text_of(struct slice raw, char text[TEXT_MAX])
{
    struct buf out;
    buf_init(&out, TEXT_MAX - 1);
    cr_assert_eq(json_unescape(raw, &out), OK);
    if (out.len > 0) memcpy(text, out.data, out.len);
    text[out.len] = '\0';
    buf_free(&out);
}

static void model_field(struct play *play, const struct view_record *record, const struct ref *target,
                        const struct json_member *member)
{
    char field[TEXT_MAX];
    text_of(member->key, field);
    if (strcmp(field, "type") == 0 || strcmp(field, "about") == 0) return;
    size_t i = play->count;
    while (i > 0 && play->given[i - 1].seq == record->seq && strcmp(play->given[i - 1].field, field) != 0)
        i--;
    /* Given twice in one message: the last counts. */
    bool again = i > 0 && play->given[i - 1].seq == record->seq;
    PLAY_ASSERT(play, play->count < GIVEN_MAX);
    struct given *given = again ? &play->given[i - 1] : &play->given[play->count++];
    *given = (struct given){ .value = member->value,
                             .target = *target,
                             .author = record->message->author_ref,
                             .rts = message_rts(record->message),
                             .seq = record->seq };
    memcpy(given->field, field, sizeof field);
}

static void model_make(struct play *play)
{
    for (size_t i = 0; i < RECORDS; i++) {
        const struct view_record *record = &play->corpus.records[i];
        const struct message *message = record->message;
        struct json_iter iter;
        struct json_member member;
        struct ref target;
        struct slice about;
        char text[TEXT_MAX];
        if (message->author_ref.kind == REF_NONE || message->type.len != 5 ||
            memcmp(message->type.data, "about", 5) != 0)
            continue;
        if (json_find(message->content, "about", &about) != 1) continue;
        text_of(about, text);
        if (ref_parse(text, strlen(text), &target) != OK) continue;
        cr_assert_eq(json_open(message->content, &iter), OK);
        while (json_next(&iter, &member) == 1)
            model_field(play, record, &target, &member);
    }
}

static bool removes(const struct given *given)
{
    struct slice flag;
    return given->value.data[0] == '{' && json_find(given->value, "remove", &flag) == 1 && json_truthy(flag);
}

static bool older(const struct given *a, const struct given *b)
{
    return a->rts < b->rts || (a->rts == b->rts && a->seq < b->seq);
}

enum which { TRUTHY, NOT_REMOVED, ANY };

static bool counts(const struct given *given, enum which which)
{
    return which == ANY || (which == TRUTHY ? json_truthy(given->value) : !removes(given));
}

/* The newest (or first) value of a field of a target that `author` (NULL = anybody) gave. */
static const struct given *model_find(const struct play *play, const struct ref *target, const char *field,
                                      const struct ref *author, enum which which, bool first)
{
    const struct given *best = NULL;
    for (size_t i = 0; i < play->count; i++) {
        const struct given *given = &play->given[i];
        if (!ref_equal(&given->target, target) || strcmp(given->field, field) != 0) continue;
        if ((author != NULL && !ref_equal(&given->author, author)) || !counts(given, which)) continue;
        if (best == NULL || older(best, given) != first) best = given;
    }
    return best;
}

/* What an assigner's value counts as: false = as nothing. */
static bool model_vote(const struct given *given, char text[TEXT_MAX])
{
    struct slice value = given->value;
    bool object = value.data[0] == '{';
    struct ref ref;
    if (object && (json_find(value, "link", &value) != 1 || removes(given))) return false;
    if (!json_is_string(value) || !json_truthy(value)) return false;
    text_of(value, text);
    return !object || ref_parse(text, strcspn(text, "?"), &ref) == OK;
}

struct voter {
    const struct given *first, *value;
};

static size_t model_voters(const struct play *play, const struct ref *target, const char *field, struct voter *voters)
{
    size_t count = 0;
    for (unsigned n = 0; n < CORPUS_AUTHORS; n++) {
        struct ref author;
        corpus_ref(REF_FEED, n, &author);
        const struct voter voter = { model_find(play, target, field, &author, TRUTHY, true),
                                     model_find(play, target, field, &author, TRUTHY, false) };
        if (voter.first == NULL) continue;
        size_t at = count++;
        for (; at > 0 && older(voter.first, voters[at - 1].first); at--)
            voters[at] = voters[at - 1];
        voters[at] = voter;
    }
    return count;
}

/* The text most assigners agree on, and the first of them; NULL = none. */
static const struct given *model_majority(const struct play *play, const struct ref *target, const char *field,
                                          char text[TEXT_MAX])
{
    struct voter voters[CORPUS_AUTHORS];
    size_t count = model_voters(play, target, field, voters), most = 0;
    const struct given *winner = NULL;
    for (size_t i = 0; i < count; i++) {
        char mine[TEXT_MAX], other[TEXT_MAX];
        size_t agree = 0;
        const struct given *first = NULL;
        if (!model_vote(voters[i].value, mine)) continue;
        for (size_t j = 0; j <= i; j++) {
            if (!model_vote(voters[j].value, other) || strcmp(mine, other) != 0) continue;
            if (first == NULL) first = voters[j].value;
            agree++;
        }
        if (agree <= most) continue;
        most = agree;
        winner = first;
        memcpy(text, mine, sizeof mine);
    }
    return winner;
}

static bool model_own(const struct play *play, const struct ref *target, struct ref *ret_own)
{
    if (target->kind == REF_FEED) {
        *ret_own = *target;
        return true;
    }
    for (size_t i = 0; target->kind == REF_MESSAGE && i < RECORDS; i++) {
        if (!ref_equal(&play->corpus.messages[i].id, target)) continue;
        *ret_own = play->corpus.messages[i].author_ref;
        return ret_own->kind != REF_NONE;
    }
    return false;
}

/* `ret_text` is filled if the value is that text by majority, else empty. */
static const struct given *model_answer(const struct play *play, const struct ref *target, const char *field,
                                        enum about_rule rule, const struct ref *reader, char ret_text[TEXT_MAX])
{
    struct ref own;
    bool has_own = model_own(play, target, &own);
    ret_text[0] = '\0';
    if (rule == ABOUT_LATEST) return model_find(play, target, field, NULL, NOT_REMOVED, false);
    if (rule == ABOUT_SELF) return has_own ? model_find(play, target, field, &own, ANY, false) : NULL;
    const struct given *given = reader != NULL ? model_find(play, target, field, reader, TRUTHY, false) : NULL;
    if (given == NULL && has_own) given = model_find(play, target, field, &own, TRUTHY, false);
    return given != NULL ? given : model_majority(play, target, field, ret_text);
}

/* ---- comparing ---------------------------------------------------------------------------------------------- */

struct answers {
    struct play *play;
    struct answer {
        char field[TEXT_MAX];
        struct about_value value;
    } items[64];
    size_t count;
};

static int answers_take(void *ctx, const struct about_value *value)
{
    struct answers *answers = ctx;
    PLAY_ASSERT(answers->play, answers->count < 64);
    struct answer *item = &answers->items[answers->count++];
    text_of(value->field, item->field);
    item->value = *value;
    return 0;
}

static bool same_bytes(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void check_answer(struct play *play, const struct answers *answers, const char *field, const struct given *given,
                         const char *text)
{
    const struct answer *item = NULL;
    for (size_t i = 0; i < answers->count; i++)
        if (strcmp(answers->items[i].field, field) == 0) item = &answers->items[i];
    PLAY_ASSERT(play, (item != NULL) == (given != NULL));
    if (given == NULL) return;
    PLAY_ASSERT(play, item->value.seq == given->seq && ref_equal(&item->value.author, &given->author));
    char shown[TEXT_MAX];
    if (text[0] == '\0') {
        PLAY_ASSERT(play, same_bytes(item->value.value, given->value));
    } else {
        PLAY_ASSERT(play, json_is_string(item->value.value));
        text_of(item->value.value, shown);
        PLAY_ASSERT(play, strcmp(shown, text) == 0);
    }
}

/* Every field name that was ever given, once. */
static size_t model_fields(const struct play *play, const char **fields)
{
    size_t count = 0;
    for (size_t i = 0; i < play->count; i++) {
        size_t j = 0;
        while (j < count && strcmp(fields[j], play->given[i].field) != 0)
            j++;
        if (j == count) fields[count++] = play->given[i].field;
    }
    return count;
}

static void check_rule(struct play *play, const struct ref *target, enum about_rule rule, const struct ref *reader)
{
    struct answers answers = { .play = play };
    const char *fields[64];
    char text[TEXT_MAX];
    size_t count = model_fields(play, fields), expected = 0;
    PLAY_ASSERT(play, about_get(&play->read, target, rule, reader, answers_take, &answers) == 0);
    for (size_t i = 0; i < count; i++) {
        const struct given *given = model_answer(play, target, fields[i], rule, reader, text);
        check_answer(play, &answers, fields[i], given, text);
        expected += given != NULL;
    }
    PLAY_ASSERT(play, answers.count == expected);
}

static void check_all(struct play *play, const struct ref *target)
{
    struct answers answers = { .play = play };
    struct voter voters[CORPUS_AUTHORS];
    const char *fields[64];
    size_t count = model_fields(play, fields), expected = 0;
    PLAY_ASSERT(play, about_all(&play->read, target, answers_take, &answers) == 0);
    for (size_t i = 0; i < count; i++) {
        size_t n = model_voters(play, target, fields[i], voters), at = 0;
        for (size_t k = 0; k < answers.count; k++) {
            if (strcmp(answers.items[k].field, fields[i]) != 0) continue;
            PLAY_ASSERT(play, at < n && answers.items[k].value.seq == voters[at].value->seq);
            PLAY_ASSERT(play, same_bytes(answers.items[k].value.value, voters[at].value->value));
            at++;
        }
        PLAY_ASSERT(play, at == n);
        expected += n;
    }
    PLAY_ASSERT(play, answers.count == expected);
}

static void check_target(struct play *play, int kind, unsigned n)
{
    struct ref target, reader;
    corpus_ref(kind, n, &target);
    check_rule(play, &target, ABOUT_LATEST, NULL);
    check_rule(play, &target, ABOUT_SELF, NULL);
    check_rule(play, &target, ABOUT_SOCIAL, NULL);
    for (unsigned who = 0; who < CORPUS_AUTHORS; who++) {
        corpus_ref(REF_FEED, who, &reader);
        check_rule(play, &target, ABOUT_SOCIAL, &reader);
    }
    check_all(play, &target);
}

static void play_open(struct play *play)
{
    *play = (struct play){ .dice = dice_make() };
    play->given = calloc(GIVEN_MAX, sizeof *play->given);
    corpus_make(&play->dice, RECORDS, &play->corpus);
    corpus_serve(&play->corpus, &play->served);
    PLAY_ASSERT(play, flume_read_begin(play->served.flume, &play->read) == OK);
    model_make(play);
}

static void play_close(struct play *play)
{
    flume_read_end(&play->read);
    corpus_stop(&play->served);
    corpus_free(&play->corpus);
    free(play->given);
}

Test(view_about, the_three_rules_are_those_of_a_loop)
{
    struct play play;
    play_open(&play);
    for (unsigned n = 0; n < 4; n++) {
        check_target(&play, REF_FEED, n);
        check_target(&play, REF_MESSAGE, n);
    }
    check_target(&play, REF_BLOB, 0);
    check_target(&play, REF_BLOB, 1);
    play_close(&play);
}

/* ---- by example --------------------------------------------------------------------------------------------- */

#define LINES_MAX 8

struct story {
    char lines[LINES_MAX][1000];
    const char *texts[LINES_MAX];
    size_t count;
    struct corpus_flume served;
    struct flume_read read;
};

/* Author `who` says `fields` of feed 0 at second `n` of the story. */
static void story_say(struct story *story, unsigned who, const char *fields)
{
    char author[REF_TEXT_MAX + 1], target[REF_TEXT_MAX + 1];
    corpus_text(REF_FEED, who, author);
    corpus_text(REF_FEED, 0, target);
    size_t n = story->count++;
    (void)snprintf(
        story->lines[n], sizeof story->lines[n],
        "{\"value\":{\"author\":\"%s\",\"timestamp\":%zu,\"content\":{\"type\":\"about\",\"about\":\"%s\",%s}}}",
        author, n + 1, target, fields);
    story->texts[n] = story->lines[n];
}

static void story_tell(struct story *story)
{
    corpus_serve_texts(story->texts, story->count, &story->served);
    cr_assert_eq(flume_read_begin(story->served.flume, &story->read), OK);
}

static void story_end(struct story *story)
{
    flume_read_end(&story->read);
    corpus_stop(&story->served);
}

static int keep_value(void *ctx, const struct about_value *value)
{
    *(struct about_value *)ctx = *value;
    return 0;
}

static void story_expect(struct story *story, enum about_rule rule, const char *expected)
{
    struct ref target;
    struct about_value value = { .value = SLICE_LITERAL("none") };
    corpus_ref(REF_FEED, 0, &target);
    cr_assert_eq(about_get(&story->read, &target, rule, NULL, keep_value, &value), 0);
    cr_assert(same_bytes(value.value, (struct slice){ expected, strlen(expected) }), "%.*s instead of %s",
              (int)value.value.len, value.value.data, expected);
}

#define PICTURE "&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256"

Test(view_about, an_object_whose_link_is_no_id_has_no_vote)
{
    struct story story = { 0 };
    story_say(&story, 1, "\"name\":{\"link\":\"bob\"}");
    story_say(&story, 2, "\"name\":{\"link\":\"bob\"}");
    story_say(&story, 3, "\"name\":{\"link\":\"" PICTURE "?unbox=x\"}");
    story_tell(&story);
    story_expect(&story, ABOUT_SOCIAL, "\"" PICTURE "?unbox=x\"");
    story_end(&story);
}

Test(view_about, most_agree_and_of_a_tie_the_first_to_reach_it_wins)
{
    struct story story = { 0 };
    story_say(&story, 1, "\"name\":\"ada\"");
    story_say(&story, 2, "\"name\":\"" PICTURE "\"");
    story_say(&story, 3, "\"name\":{\"link\":\"" PICTURE "\"}");
    story_say(&story, 4, "\"name\":\"ada\"");
    story_tell(&story);
    story_expect(&story, ABOUT_SOCIAL, "\"" PICTURE "\"");
    story_expect(&story, ABOUT_LATEST, "\"ada\"");
    story_expect(&story, ABOUT_SELF, "none");
    story_end(&story);
}

Test(view_about, what_the_feed_says_of_itself_goes_before_the_others)
{
    struct story story = { 0 };
    story_say(&story, 1, "\"name\":\"ada\"");
    story_say(&story, 2, "\"name\":\"ada\"");
    story_say(&story, 0, "\"name\":\"zoe\"");
    story_say(&story, 0, "\"name\":false");
    story_tell(&story);
    story_expect(&story, ABOUT_SOCIAL, "\"zoe\"");
    story_expect(&story, ABOUT_SELF, "false");
    story_expect(&story, ABOUT_LATEST, "false");
    story_end(&story);
}

Test(view_about, a_key_that_stands_twice_counts_with_its_last_value)
{
    struct story story = { 0 };
    story_say(&story, 1, "\"name\":\"ada\",\"n\\u0061me\":\"\"");
    story_tell(&story);
    story_expect(&story, ABOUT_SOCIAL, "none");
    story_expect(&story, ABOUT_LATEST, "\"\"");
    story_end(&story);
}

Test(view_about, a_deleted_record_is_skipped)
{
    struct story story = { 0 };
    story_say(&story, 1, "\"name\":\"ada\"");
    story_say(&story, 0, "\"name\":\"zoe\"");
    story_tell(&story);
    int64_t newest = flume_head(story.served.flume);
    corpus_delete(&story.served, newest);
    story_expect(&story, ABOUT_SOCIAL, "\"ada\"");
    story_expect(&story, ABOUT_LATEST, "\"ada\"");
    story_expect(&story, ABOUT_SELF, "none");
    story_end(&story);
}

static int stop_at_first(void *ctx, const struct about_value *value)
{
    (void)value;
    ++*(int *)ctx;
    return 7;
}

Test(view_about, the_caller_can_stop)
{
    struct story story = { 0 };
    struct ref target;
    int calls = 0;
    story_say(&story, 1, "\"a\":1,\"b\":2,\"c\":3");
    story_tell(&story);
    corpus_ref(REF_FEED, 0, &target);
    cr_assert_eq(about_get(&story.read, &target, ABOUT_LATEST, NULL, stop_at_first, &calls), 7);
    cr_assert_eq(about_all(&story.read, &target, stop_at_first, &calls), 7);
    cr_assert_eq(calls, 2);
    story_end(&story);
}

Test(view_about, more_fields_than_anybody_reads_do_no_harm)
{
    struct buf text;
    struct corpus_flume served;
    struct flume_read read;
    struct ref target;
    char author[REF_TEXT_MAX + 1];
    int calls = 0;
    corpus_text(REF_FEED, 0, author);
    buf_init(&text, 1 << 20);
    (void)buf_printf(&text, "{\"value\":{\"author\":\"%s\",\"content\":{\"type\":\"about\",\"about\":\"%s\"", author,
                     author);
    for (int i = 0; i < 5000; i++)
        (void)buf_printf(&text, ",\"field%d\":%d", i, i + 1);
    (void)buf_append(&text, "}}}", 4);
    const char *const texts[] = { text.data };
    corpus_serve_texts(texts, 1, &served);
    cr_assert_eq(flume_read_begin(served.flume, &read), OK);
    corpus_ref(REF_FEED, 0, &target);
    cr_assert_eq(about_all(&read, &target, stop_at_first, &calls), 7);
    flume_read_end(&read);
    corpus_stop(&served);
    buf_free(&text);
}
