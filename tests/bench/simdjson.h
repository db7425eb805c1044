/* simdjson, the ceiling of what reading JSON may cost: visits every string of every record, keys included. */
#ifndef TESTS_BENCH_SIMDJSON_H
#define TESTS_BENCH_SIMDJSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `text` holds `count` records one behind the other, of these lengths, and SIMDJSON_SLACK bytes more. Answers the bytes of
 * all strings, UINT64_MAX after an error. */
#define SIMDJSON_SLACK 64
uint64_t simdjson_visit(const char *text, const size_t *lens, size_t count);

#ifdef __cplusplus
}
#endif

#endif
