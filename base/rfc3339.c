/* Times as text: date, clock, fraction, zone, one after the other. */
#include "base/rfc3339.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* `count` digits at the front of *rest as a number, then `after` (0: nothing); -1 when they are not there. */
static int take_digits(struct sm_str *rest, size_t count, char after)
{
    size_t size = count + (after != 0);
    int v = 0;
    if (rest->len < size)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(rest->ptr[i]))
            return -1;
        v = v * 10 + (rest->ptr[i] - '0');
    }
    if (after && rest->ptr[count] != after && !(after == 'T' && rest->ptr[count] == 't'))
        return -1;
    *rest = sm_str(rest->ptr + size, rest->len - size);
    return v;
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int y = month <= 2 ? year - 1 : year; /* leap days up to the end of the last February */
    return 365 * (int64_t)(year - 1970) + (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400) +
           before[month - 1] + day - 1;
}

static int days_in(int year, int month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 ? 28 + leap : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool take_date(struct sm_str *rest, int64_t *seconds)
{
    int year = take_digits(rest, 4, '-');
    int month = year < 0 ? -1 : take_digits(rest, 2, '-');
    int day = month < 0 ? -1 : take_digits(rest, 2, 'T');
    if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > days_in(year, month))
        return false;
    *seconds = days_of(year, month, day) * 86400;
    return true;
}

static bool take_clock(struct sm_str *rest, int64_t *seconds)
{
    int hour = take_digits(rest, 2, ':');
    int minute = hour < 0 ? -1 : take_digits(rest, 2, ':');
    int second = minute < 0 ? -1 : take_digits(rest, 2, 0);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    *seconds += hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_fraction(struct sm_str *rest, int64_t *ns)
{
    int64_t digit = SM_SEC;
    *ns = 0;
    if (!rest->len || *rest->ptr != '.')
        return true;
    for (rest->ptr++, rest->len--; rest->len && is_digit(*rest->ptr); rest->ptr++, rest->len--)
        *ns += (*rest->ptr - '0') * (digit /= 10);
    return digit < SM_SEC;
}

static bool take_zone(struct sm_str *rest, int64_t *seconds)
{
    if (!rest->len)
        return false;
    char sign = *rest->ptr;
    *rest = sm_str(rest->ptr + 1, rest->len - 1);
    if (sign == 'Z' || sign == 'z')
        return true;
    int hour = take_digits(rest, 2, ':');
    int minute = hour < 0 ? -1 : take_digits(rest, 2, 0);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || (sign != '+' && sign != '-' && sign != ' '))
        return false;
    int offset = hour * 3600 + minute * 60;
    *seconds += sign == '-' ? offset : -offset;
    return true;
}

enum sm_rc sm_rfc3339_parse(struct sm_str text, int64_t *ns)
{
    int64_t seconds, fraction;
    if (!take_date(&text, &seconds) || !take_clock(&text, &seconds) || !take_fraction(&text, &fraction) ||
        !take_zone(&text, &seconds) || text.len || seconds < 0)
        return SM_E_INVALID;
    *ns = seconds * SM_SEC + fraction;
    return SM_OK;
}
