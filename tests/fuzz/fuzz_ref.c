/* Any bytes: what is taken for an id prints as a text and a URI that read back as the same id; the strict form gives the same
 * text again. Run with tests/fuzz/corpus/ref. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good) abort();
}

static void fuzz_prints_back(const struct ref *ref)
{
    char out[REF_URI_MAX];
    struct ref again;
    size_t len = ref_print(ref, out);
    must(len > 0 && len <= REF_TEXT_MAX && ref_parse(out, len, &again) == OK && ref_equal(ref, &again));
    must(ref_parse_any(out, len, &again) == OK && ref_equal(ref, &again));
    must(ref_prefix(out, len) == len);
    len = ref_print_uri(ref, out);
    must(len <= REF_URI_MAX);
    if (len > 0) must(ref_parse_any(out, len, &again) == OK && ref_equal(ref, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ref ref = { .kind = REF_NONE }, loose = { .kind = REF_NONE };
    char *text = malloc(size > 0 ? size : 1), out[REF_TEXT_MAX];
    if (text == NULL) return 0;
    if (size > 0) memcpy(text, data, size);
    if (ref_parse_any(text, size, &loose) == OK) fuzz_prints_back(&loose);
    if (ref_parse(text, size, &ref) == OK) {
        must(ref_print(&ref, out) == size && memcmp(out, text, size) == 0);
        must(ref_equal(&ref, &loose));
    }
    size_t prefix = ref_prefix(text, size);
    must(prefix <= size && (prefix == 0 || ref_parse(text, prefix, &ref) == OK));
    free(text);
    return 0;
}
