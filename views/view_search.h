/* View "search": the words of messages. Their texts, titles, names, descriptions and channels are taken apart by words.h; a list tells for
 * each word where it stands, as often as it stands there.
 *
 * It is asked through the filter `q` (filter.h), which every list of messages has, and through search.h. The language of a query:
 *   boat              a word, whatever its case and accents
 *   boa*              a word that begins so
 *   "rain barrel"     words one behind the other
 *   author:@… type:post channel:boats     as the filters of these names
 *   after:2020-01-31 before:2021          messages of that day or later, of days before that one (UTC; also 2020-01, 2020-01-31T12:00Z)
 * A message must have all of them. What else stands there (punctuation) parts words. Before a ':' that follows another word nothing is meant. */
#ifndef VIEWS_VIEW_SEARCH_H
#define VIEWS_VIEW_SEARCH_H

#include "views/filter.h"

#define SEARCH_QUERY_MAX 512 /* bytes */

enum { SEARCH_Q }; /* the view's field */

/* The places of a message that are searched, as raw JSON strings between their quotes; data NULL = it has none there. */
enum { SEARCH_TEXT, SEARCH_TITLE, SEARCH_NAME, SEARCH_DESCRIPTION, SEARCH_CHANNEL, SEARCH_PLACES };
extern const char *const search_places[SEARCH_PLACES]; /* their names in content */
void search_places_read(const struct message *message, struct slice ret_places[SEARCH_PLACES]);

/* The term that stands once for each place of a message that is searched: where all such messages are found. It also parts places, so that
 * no phrase goes over the end of one. */
void search_term_any(struct term *ret_term);

/* The value of the filter `q`. ERR_ARG, ERR_REF. */
int search_set(const char *text, size_t len, struct filter *filter);

#endif
