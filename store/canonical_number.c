#include "store/canonical_node.h"

#include <float.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17                /* always enough to tell one double from the next */
#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers below it are exact */
#define EXACT_WHOLE (UINT64_C(1) << 53)
#define THOUSANDTHS_MAX 8796093022208.0 /* 2^43: below it doubles stand closer than thousandths */

static locale_t number_locale;
static pthread_once_t number_once = PTHREAD_ONCE_INIT;

/* glibc keeps the C locale as a constant: nothing is allocated, nothing can fail. */
static void number_start(void)
{
    number_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Correctly rounded whatever the program's locale is. */
static double number_strtod(const char *text)
{
    pthread_once(&number_once, number_start);
    return number_locale == (locale_t)0 ? strtod(text, NULL) : strtod_l(text, NULL, number_locale);
}

static bool digit_is(char c)
{
    return c >= '0' && c <= '9';
}

/* What the grammar walk learns on its way: enough to do without strtod when the number is small. */
struct number_text {
    uint64_t mantissa;
    int digits;   /* significant digits in mantissa */
    int exponent; /* of ten */
    bool simple;  /* mantissa and exponent hold the whole number */
};

static const char *digits_walk(const char *at, struct number_text *number, int shift)
{
    for (; digit_is(*at); at++) {
        if (!number->simple) continue;
        if (number->digits > 0 || *at != '0') number->digits++;
        if (number->digits > DIGITS_MAX) number->simple = false;
        number->mantissa = number->mantissa * 10 + (uint64_t)(*at - '0');
        number->exponent += shift;
        if (number->exponent < -1000) number->simple = false;
    }
    return at;
}

static const char *exponent_walk(const char *at, struct number_text *number)
{
    bool negative = *at == '-';
    if (*at == '-' || *at == '+') at++;
    if (!digit_is(*at)) return NULL;
    int exponent = 0;
    for (; digit_is(*at); at++) {
        exponent = exponent * 10 + (*at - '0');
        if (exponent > 1000) number->simple = false, exponent = 1000;
    }
    number->exponent += negative ? -exponent : exponent;
    return at;
}

static const char *number_walk(const char *at, struct number_text *number)
{
    if (*at == '0' && digit_is(at[1])) return NULL;
    const char *start = at;
    at = digits_walk(at, number, 0);
    if (at == start) return NULL;
    if (*at == '.') {
        start = ++at;
        at = digits_walk(at, number, -1);
        if (at == start) return NULL;
    }
    if (*at == 'e' || *at == 'E') at = exponent_walk(at + 1, number);
    return at;
}

/* Both factors and the result of one operation are exact or rounded once, so this is what strtod would answer. */
static bool number_small(const struct number_text *number, double *ret_value)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (!number->simple || number->mantissa > EXACT_WHOLE || number->exponent < -22 || number->exponent > 22)
        return false;
    double value = (double)number->mantissa;
    *ret_value = number->exponent < 0 ? value / tens[-number->exponent] : value * tens[number->exponent];
    return true;
}

bool canonical_number_read(const char *text, double *ret_value, const char **ret_end)
{
    bool negative = *text == '-';
    struct number_text number = { .simple = true };
    const char *end = number_walk(text + negative, &number);
    if (end == NULL) return false;
    double value;
    if (number_small(&number, &value))
        *ret_value = negative ? -value : value;
    else
        *ret_value = number_strtod(text);
    *ret_end = end;
    return true;
}

/* The decimal nearest to `value` with `count` digits: value ~ d.ddd * 10^exponent. printf is only asked for digits, so the
 * locale's point does no harm. */
static void digits_nearest(double value, int count, char *digits, int *ret_exponent)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*e", count - 1, value);
    const char *at = text;
    for (int n = 0; n < count && *at != 'e'; at++)
        if (digit_is(*at)) digits[n++] = *at;
    at = strchr(text, 'e');
    *ret_exponent = at == NULL ? 0 : (int)strtol(at + 1, NULL, 10);
}

static bool digits_read_as(const char *digits, int count, int exponent, double value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*se%d", count, digits, exponent - (count - 1));
    return number_strtod(text) == value;
}

static void digits_increment(char *digits, int count, int *exponent)
{
    int at = count - 1;
    while (at >= 0 && digits[at] == '9')
        digits[at--] = '0';
    if (at >= 0) {
        digits[at]++;
        return;
    }
    digits[0] = '1';
    *exponent += 1;
}

/* Below a power of two doubles stand twice as close as above it: there the nearest short decimal may lie below, too far away to
 * be read back, while its upper neighbour is read back. */
static bool digits_try(double value, int count, char *digits, int *exponent)
{
    digits_nearest(value, count, digits, exponent);
    if (digits_read_as(digits, count, *exponent, value)) return true;
    digits_increment(digits, count, exponent);
    return digits_read_as(digits, count, *exponent, value);
}

/* The fewest digits that are read back as `value` (> 0). Any decimal of up to 15 digits survives the way through a normal
 * double, so a shorter answer shows as trailing zeros at 15; subnormals have fewer and are tried one by one. */
static int digits_shortest(double value, char *digits, int *ret_exponent)
{
    int count = value < DBL_MIN ? 1 : DBL_DIG;
    while (count < DIGITS_MAX && !digits_try(value, count, digits, ret_exponent))
        count++;
    if (count == DIGITS_MAX) digits_nearest(value, count, digits, ret_exponent);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

static char *put_zeros(char *at, int count)
{
    for (; count > 0; count--)
        *at++ = '0';
    return at;
}

static char *put_digits(char *at, const char *digits, int count)
{
    memcpy(at, digits, (size_t)count);
    return at + count;
}

static char *put_uint(char *at, uint64_t n)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_exponent(char *at, const char *digits, int count, int exponent)
{
    *at++ = digits[0];
    if (count > 1) {
        *at++ = '.';
        at = put_digits(at, digits + 1, count - 1);
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    return put_uint(at, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

/* Number::toString: `point` digits stand before the decimal point. */
static char *put_double(char *at, const char *digits, int count, int point)
{
    if (point > 21 || point <= -6) return put_exponent(at, digits, count, point - 1);
    if (point >= count) return put_zeros(put_digits(at, digits, count), point - count);
    if (point > 0) {
        at = put_digits(at, digits, point);
        *at++ = '.';
        return put_digits(at, digits + point, count - point);
    }
    *at++ = '0';
    *at++ = '.';
    return put_digits(put_zeros(at, -point), digits, count);
}

/* Thousandths, as times have them. Below THOUSANDTHS_MAX no two of them are the same double, so the one that reads as `value` is
 * the shortest text for it. The division is rounded as the reading of its decimal would be. */
static char *put_thousandths(char *at, double value)
{
    if (value >= THOUSANDTHS_MAX) return NULL;
    uint64_t whole = (uint64_t)(value * 1000 + 0.5);
    if ((double)whole / 1000 != value) return NULL;
    at = put_uint(at, whole / 1000);
    *at++ = '.';
    unsigned part = (unsigned)(whole % 1000);
    for (unsigned unit = 100; part > 0; part %= unit, unit /= 10)
        *at++ = (char)('0' + part / unit);
    return at;
}

size_t canonical_number(double value, char *out)
{
    char *at = out;
    if (!(value - value == 0)) return (size_t)(put_digits(at, "null", 4) - out);
    if (value < 0) {
        *at++ = '-';
        value = -value;
    }
    if (value < EXACT_MAX && (double)(uint64_t)value == value) return (size_t)(put_uint(at, (uint64_t)value) - out);
    char *end = put_thousandths(at, value);
    if (end != NULL) return (size_t)(end - out);
    char digits[DIGITS_MAX];
    int exponent;
    int count = digits_shortest(value, digits, &exponent);
    return (size_t)(put_double(at, digits, count, exponent + 1) - out);
}
