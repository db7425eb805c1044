#include "views/filter.h"

#include <string.h>

#include "store/err.h"

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

int filter_set(struct filter *filter, const char *name, const char *text, size_t len)
{
    struct filter_term term;
    if (!filter_find(name, &term)) return err_set(ERR_NOTFOUND, "%.60s: there is no such filter", name);
    for (size_t i = 0; i < filter->count; i++)
        if (filter->terms[i].field == term.field) return err_set(ERR_ARG, "%s: given twice", name);
    if (filter->count == FILTER_TERMS_MAX) return err_set(ERR_LIMIT, "more than %d filters", FILTER_TERMS_MAX);
    int err = term.field->parse(text, len, &term.term, &term.negate);
    if (err != OK) return err;
    filter->terms[filter->count++] = term;
    return OK;
}

uint32_t filter_views(const struct filter *filter)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < filter->count; i++)
        mask |= UINT32_C(1) << filter->terms[i].view;
    return mask;
}

static int filter_match_term(void *ctx, const struct term *term)
{
    return term_equal(ctx, term) ? 1 : 0;
}

bool filter_match(const struct filter *filter, const struct message *message)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct filter_term *wanted = &filter->terms[i];
        struct term term = wanted->term;
        bool found = wanted->field->emit(message, filter_match_term, &term) != 0;
        if (found == wanted->negate) return false;
    }
    return true;
}
