#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/support/corpus.h"
#include "views/filter.h"

static int set(struct filter *filter, const char *name, const char *text)
{
    return filter_set(filter, name, text, strlen(text));
}

static bool matches(const char *name, const char *text, const char *record)
{
    struct filter filter = { 0 };
    struct message message;
    cr_assert_eq(set(&filter, name, text), OK);
    message_init(&message);
    cr_assert_eq(message_scan(&message, record, strlen(record)), OK);
    bool match = filter_match(&filter, &message);
    message_free(&message);
    return match;
}

Test(filter, refuses_what_no_view_knows_and_what_is_said_twice)
{
    struct filter filter = { 0 };
    cr_assert_eq(set(&filter, "colour", "red"), ERR_NOTFOUND);
    cr_assert_eq(set(&filter, "type", "post"), OK);
    cr_assert_eq(set(&filter, "type", "vote"), ERR_ARG);
    cr_assert_eq(filter.count, 1);
}

Test(filter, refuses_values_of_the_wrong_kind)
{
    struct filter filter = { 0 };
    char feed[REF_TEXT_MAX + 1], blob[REF_TEXT_MAX + 1];
    corpus_text(REF_FEED, 1, feed);
    corpus_text(REF_BLOB, 1, blob);
    cr_assert_eq(set(&filter, "author", "ada"), ERR_REF);
    cr_assert_eq(set(&filter, "author", blob), ERR_REF);
    cr_assert_eq(set(&filter, "dest", "#channel"), ERR_REF);
    cr_assert_eq(set(&filter, "root", feed), ERR_REF);
    cr_assert_eq(set(&filter, "private", "yes"), ERR_ARG);
    cr_assert_eq(set(&filter, "channel", "#"), ERR_ARG);
    cr_assert_eq(set(&filter, "type", ""), ERR_ARG);
    cr_assert_eq(filter.count, 0);
}

Test(filter, says_which_views_it_needs)
{
    struct filter filter = { 0 };
    char feed[REF_TEXT_MAX + 1];
    corpus_text(REF_FEED, 1, feed);
    cr_assert_eq(filter_views(&filter), 0);
    cr_assert_eq(set(&filter, "author", feed), OK);
    cr_assert_eq(filter_views(&filter), VIEW_MASK(feeds));
    cr_assert_eq(set(&filter, "private", "false"), OK);
    cr_assert_eq(set(&filter, "type", "post"), OK);
    cr_assert_eq(filter_views(&filter), VIEW_MASK(feeds) | VIEW_MASK(types));
}

Test(filter, takes_ids_as_people_paste_them)
{
    struct ref ref;
    char text[REF_URI_MAX + 1];
    struct filter filter = { 0 };
    corpus_ref(REF_FEED, 3, &ref);
    size_t len = ref_print_uri(&ref, text);
    cr_assert_eq(filter_set(&filter, "author", text, len), OK);
    cr_assert_eq(filter_set(&filter, "dest", text, len), OK);
}

Test(filter, matches_a_channel_however_it_is_written)
{
    const char *record = "{\"value\":{\"content\":{\"type\":\"post\",\"channel\":\"#Solar Punk\"}}}";
    cr_assert(matches("channel", "solarpunk", record));
    cr_assert(matches("channel", "#SolarPunk", record));
    cr_assert_not(matches("channel", "solar", record));
}

Test(filter, contact_is_the_feed_that_a_contact_is_about_and_no_other)
{
    static const struct {
        const char *before, *behind;
        bool wanted;
    } forms[] = {
        { "{\"type\":\"contact\",\"following\":true,\"contact\":\"", "\"}", true },
        { "{\"type\":\"contact\",\"friend\":\"", "\"}", false },
        { "{\"type\":\"post\",\"contact\":\"", "\"}", false },
    };
    char id[REF_TEXT_MAX + 1], record[512];
    struct filter filter = { 0 };
    corpus_text(REF_FEED, 3, id);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        (void)snprintf(record, sizeof record, "{\"value\":{\"content\":%s%s%s}}", forms[i].before, id, forms[i].behind);
        cr_assert_eq(matches("contact", id, record), forms[i].wanted, "%s", record);
    }
    corpus_text(REF_MESSAGE, 3, id);
    cr_assert_eq(set(&filter, "contact", id), ERR_REF);
}

Test(filter, private_is_encrypted_or_not)
{
    const char *boxed = "{\"value\":{\"content\":\"c2VjcmV0.box\"}}",
               *open = "{\"value\":{\"content\":{\"type\":\"post\"}}}";
    cr_assert(matches("private", "true", boxed));
    cr_assert_not(matches("private", "false", boxed));
    cr_assert_not(matches("private", "true", open));
    cr_assert(matches("private", "false", open));
}

Test(filter, an_empty_one_lets_all_pass)
{
    const struct filter filter = { 0 };
    struct message message;
    message_init(&message);
    cr_assert_eq(message_scan(&message, "42", 2), OK);
    cr_assert(filter_match(&filter, &message));
    message_free(&message);
}
