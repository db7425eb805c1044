#include "views/view_search.h"

#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "views/words.h"

const char *const search_places[SEARCH_PLACES] = {
    [SEARCH_TEXT] = "text",       [SEARCH_TITLE] = "title",
    [SEARCH_NAME] = "name",       [SEARCH_DESCRIPTION] = "description",
    [SEARCH_CHANNEL] = "channel",
};

void search_places_read(const struct message *message, struct slice ret_places[SEARCH_PLACES])
{
    struct json_iter iter;
    struct json_member member;
    for (size_t i = 0; i < SEARCH_PLACES; i++)
        ret_places[i] = (struct slice){ NULL, 0 };
    if (message->content.data == NULL || json_open(message->content, &iter) != OK || iter.close != '}') return;
    while (json_next(&iter, &member) == 1)
        for (size_t i = 0; i < SEARCH_PLACES; i++) {
            if (!json_key_is(&member, search_places[i])) continue;
            bool text = json_is_string(member.value);
            ret_places[i] =
                text ? (struct slice){ member.value.data + 1, member.value.len - 2 } : (struct slice){ NULL, 0 };
        }
}

void search_term_any(struct term *ret_term)
{
    term_of_string("", 0, ret_term);
}

static int place_emit(struct slice place, term_fn *fn, void *ctx)
{
    struct words words;
    struct word word;
    struct term term;
    search_term_any(&term);
    int stop = fn(ctx, &term);
    words_open(place, true, &words);
    while (stop == 0 && words_next(&words, &word)) {
        term_of_string(word.text, word.len, &term);
        stop = fn(ctx, &term);
    }
    return stop;
}

static int search_emit(const struct message *message, term_fn *fn, void *ctx)
{
    struct slice places[SEARCH_PLACES];
    int stop = 0;
    search_places_read(message, places);
    for (size_t i = 0; i < SEARCH_PLACES && stop == 0; i++)
        if (places[i].data != NULL) stop = place_emit(places[i], fn, ctx);
    return stop;
}

const struct view_ops view_search_ops = {
    .name = "search",
    .version = 1,
    .late = true,
    .fields = (const struct field[]){ { .name = "q", .emit = search_emit }, { .name = NULL } },
    .set = search_set,
};
