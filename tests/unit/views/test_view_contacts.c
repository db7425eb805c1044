/* Contacts against a loop over the records. npm ssb-friends is asked in tests/conformance/social.test.js. */
#include <criterion/criterion.h>

#include "store/err.h"
#include "store/json.h"
#include "tests/unit/views/play.h"
#include "views/view_contacts.h"
#include "views/view_record.h"

#define RECORDS 600

static bool flag(struct slice content, const char *name)
{
    struct slice value;
    return json_find(content, name, &value) == 1 && json_truthy(value);
}

/* What record `i` says of `dest`: true and the state. */
static bool says(const struct play *play, size_t i, const struct ref *source, const struct ref *dest,
                 enum contact_state *ret_state)
{
    const struct message *message = &play->corpus.messages[i];
    struct slice value;
    struct ref ref;
    if (message->is_private || !slice_equal(message->type, SLICE_LITERAL("contact"))) return false;
    if (json_find(message->content, "contact", &value) != 1 || record_ref(value, &ref) != OK) return false;
    if (!ref_equal(&ref, dest) || !ref_equal(&message->author_ref, source)) return false;
    bool follows = json_find(message->content, "following", &value) == 1 && slice_equal(value, SLICE_LITERAL("true"));
    bool blocks = flag(message->content, "blocking") || flag(message->content, "flagged");
    *ret_state = blocks ? CONTACT_BLOCKS : follows ? CONTACT_FOLLOWS : CONTACT_ENDED;
    return true;
}

static int last_word(const struct play *play, const struct ref *source, const struct ref *dest, struct contact *ret)
{
    int found = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        if (!says(play, i, source, dest, &ret->state)) continue;
        ret->seq = play->corpus.records[i].seq;
        found = 1;
    }
    /* the state of the last one, whatever was looked at after it */
    for (size_t i = RECORDS; found == 1 && i-- > 0;)
        if (play->corpus.records[i].seq == ret->seq) (void)says(play, i, source, dest, &ret->state);
    return found;
}

static void check_pair(struct play *play, const struct ref *source, const struct ref *dest)
{
    struct contact expected, contact;
    int found = last_word(play, source, dest, &expected);
    PLAY_ASSERT(play, contacts_get(&play->read, source, dest, &contact) == found);
    if (found == 1) PLAY_ASSERT(play, contact.state == expected.state && contact.seq == expected.seq);
}

/* All of a feed's contacts of one side are those that contacts_get knows, in order. */
static void check_side(struct play *play, const struct ref *feed, enum contact_side side)
{
    struct contacts_iter iter;
    struct contact contact, asked;
    struct ref before = { .kind = REF_NONE };
    size_t count = 0, expected = 0;
    PLAY_ASSERT(play, contacts_open(&play->read, feed, side, NULL, &iter) == OK);
    for (; contacts_next(&iter, &contact) == 1; count++, before = contact.id) {
        PLAY_ASSERT(play, pair_compare(&before, &contact.id) < 0);
        const struct ref *source = side == CONTACTS_MADE ? feed : &contact.id;
        const struct ref *dest = side == CONTACTS_MADE ? &contact.id : feed;
        PLAY_ASSERT(play, contacts_get(&play->read, source, dest, &asked) == 1);
        PLAY_ASSERT(play, asked.seq == contact.seq && asked.state == contact.state);
    }
    contacts_close(&iter);
    for (unsigned n = 0; n < CORPUS_AUTHORS; n++) {
        struct ref other;
        corpus_ref(REF_FEED, n, &other);
        bool made = side == CONTACTS_MADE;
        expected += contacts_get(&play->read, made ? feed : &other, made ? &other : feed, &asked) == 1;
    }
    PLAY_ASSERT(play, count == expected);
}

static size_t check_all(struct play *play)
{
    size_t known = 0;
    for (unsigned a = 0; a < CORPUS_AUTHORS; a++) {
        struct ref source, dest;
        struct contact contact;
        corpus_ref(REF_FEED, a, &source);
        for (unsigned b = 0; b < CORPUS_AUTHORS; b++) {
            corpus_ref(REF_FEED, b, &dest);
            check_pair(play, &source, &dest);
            known += contacts_get(&play->read, &source, &dest, &contact) == 1;
        }
        check_side(play, &source, CONTACTS_MADE);
        check_side(play, &source, CONTACTS_RECEIVED);
    }
    return known;
}

Test(view_contacts, are_those_of_a_loop)
{
    struct play play;
    play_open(&play, RECORDS);
    PLAY_ASSERT(&play, check_all(&play) > 10);
    play_close(&play);
}
