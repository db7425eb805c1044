#include "views/filter.h"

#include <string.h>

#include "store/err.h"
#include "views/near.h"
#include "views/view_record.h"

/* The field `name` of any built-in view. */
static bool filter_find(const char *name, struct filter_term *ret_place)
{
    for (uint8_t view = 0; view < VIEW_COUNT; view++) {
        const struct field *fields = view_list[view]->fields;
        for (uint8_t i = 0; fields != NULL && fields[i].name != NULL; i++) {
            if (strcmp(fields[i].name, name) != 0) continue;
            ret_place->field = &fields[i];
            ret_place->view = view;
            ret_place->index = i;
            return true;
        }
    }
    return false;
}

static int filter_push(struct filter *filter, const struct filter_term *term)
{
    if (filter->count == FILTER_TERMS_MAX)
        return err_set(ERR_ARG, "more than %d words and filters at once", FILTER_TERMS_MAX);
    filter->terms[filter->count++] = *term;
    return OK;
}

int filter_set(struct filter *filter, const char *name, const char *text, size_t len)
{
    struct filter_term term = { .kind = FILTER_TERM };
    if (!filter_find(name, &term)) return err_set(ERR_NOTFOUND, "%.60s: there is no such filter", name);
    for (size_t i = 0; i < filter->count; i++)
        if (filter->terms[i].field == term.field) return err_set(ERR_ARG, "%s: given twice", name);
    if (term.field->parse == NULL) return view_list[term.view]->set(text, len, filter);
    int err = term.field->parse(text, len, &term.term, &term.negate);
    return err == OK ? filter_push(filter, &term) : err;
}

int filter_set_text(struct filter *filter, const char *name, const char *text)
{
    return filter_set(filter, name, text, strlen(text));
}

int filter_set_ref(struct filter *filter, const char *name, const struct ref *ref)
{
    char text[REF_TEXT_MAX];
    return filter_set(filter, name, text, ref_print(ref, text));
}

int filter_add(struct filter *filter, const char *name, enum filter_kind kind, const struct term *term)
{
    struct filter_term added = { .kind = (uint8_t)kind, .term = *term };
    if (!filter_find(name, &added)) return err_set(ERR_NOTFOUND, "%.60s: there is no such filter", name);
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_term *other = &filter->terms[i];
        if (other->field == added.field && other->kind == added.kind && term_equal(&other->term, term)) return OK;
    }
    return filter_push(filter, &added);
}

uint32_t filter_views(const struct filter *filter)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < filter->count; i++)
        mask |= UINT32_C(1) << filter->terms[i].view;
    return mask;
}

static int match_equal(void *ctx, const struct term *term)
{
    return term_equal(ctx, term) ? 1 : 0;
}

static int match_prefix(void *ctx, const struct term *term)
{
    const struct term *prefix = ctx;
    return term->len > prefix->len && memcmp(term->bytes, prefix->bytes, prefix->len) == 0;
}

size_t filter_phrase_words(const struct term *phrase, struct slice words[FILTER_PHRASE_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < phrase->len && count < FILTER_PHRASE_MAX; count++) {
        const uint8_t *start = phrase->bytes + at, *end = memchr(start, 0, phrase->len - at);
        size_t len = end == NULL ? phrase->len - at : (size_t)(end - start) + 1;
        words[count] = (struct slice){ (const char *)start, len };
        at += len;
    }
    return count;
}

/* Bit i of `matched`: the terms up to the last one end in the first i + 1 words of the phrase. */
struct match_phrase {
    struct slice words[FILTER_PHRASE_MAX];
    size_t count;
    uint32_t matched;
};

/* Is the term this word of a phrase? */
static bool word_is(struct slice word, const struct term *term)
{
    bool prefix = word.len > 2 && word.data[word.len - 2] == FILTER_PHRASE_PREFIX;
    if (!prefix) return slice_equal(word, (struct slice){ (const char *)term->bytes, term->len });
    return term->len > word.len - 2 && memcmp(term->bytes, word.data, word.len - 2) == 0;
}

static int match_phrase(void *ctx, const struct term *term)
{
    struct match_phrase *phrase = ctx;
    uint32_t here = 0;
    for (size_t i = 0; i < phrase->count; i++)
        if (word_is(phrase->words[i], term)) here |= UINT32_C(1) << i;
    phrase->matched = (phrase->matched << 1 | 1) & here;
    return (phrase->matched >> (phrase->count - 1) & 1) != 0;
}

static bool match_time(const struct term *term, const struct message *message)
{
    struct filter_time time;
    memcpy(&time, term->bytes, sizeof time);
    double at = message_rts(message);
    return at >= time.from && at < time.below;
}

bool filter_match_term(const struct filter_term *wanted, const struct message *message)
{
    struct term term = wanted->term;
    struct match_phrase phrase = { .matched = 0 };
    switch ((enum filter_kind)wanted->kind) {
    case FILTER_TERM: return (wanted->field->emit(message, match_equal, &term) != 0) != wanted->negate;
    case FILTER_PREFIX: return wanted->field->emit(message, match_prefix, &term) != 0;
    case FILTER_PHRASE:
        phrase.count = filter_phrase_words(&term, phrase.words);
        return phrase.count > 0 && wanted->field->emit(message, match_phrase, &phrase) != 0;
    case FILTER_TIME: break;
    }
    return match_time(&term, message);
}

bool filter_match(const struct filter *filter, const struct message *message)
{
    if (filter->near != NULL && !near_has(filter->near, &message->author_ref)) return false;
    for (size_t i = 0; i < filter->count; i++)
        if (!filter_match_term(&filter->terms[i], message)) return false;
    return true;
}
