/* SPDX-License-Identifier: Apache-2.0 */
/* The API's objects as people read them. */
#include "view.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "parse.h"
#include "table.h"

DEFINE_CLEANUP(struct table *, table_free);

static const json_t *member(const json_t *object, const char *key)
{
	const char *dot = strchr(key, '.');
	char first[32];

	if (!dot) {
		return json_object_get(object, key);
	}
	snprintf(first, sizeof(first), "%.*s", (int)(dot - key), key);
	return member(json_object_get(object, first), dot + 1);
}

/* NULL in *ret: there is nothing to show. */
static int cell(const json_t *object, const struct view_column *c, char **ret)
{
	const json_t *value = member(object, c->key);

	*ret = NULL;
	if (!value || json_is_null(value)) {
		return 0;
	}
	if (c->format) {
		*ret = c->format(value);
	} else if (json_is_string(value)) {
		*ret = strdup(json_string_value(value));
	} else if (json_is_boolean(value)) {
		*ret = strdup(json_is_true(value) ? "yes" : "no");
	} else {
		*ret = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	}
	return *ret ? 0 : -ENOMEM;
}

int view_list(const struct cli *cli, const json_t *items, const struct view_column *columns)
{
	_cleanup_(table_freep) struct table *t = NULL;
	const char *headers[TABLE_COLUMNS_MAX + 1] = { 0 };
	size_t n = 0, i;
	const json_t *item;
	int r;

	for (; columns[n].header; n++) {
		assert(n < TABLE_COLUMNS_MAX);
		headers[n] = columns[n].header;
	}
	r = table_new(headers, &t);
	json_array_foreach((json_t *)items, i, item)
	{
		char *cells[TABLE_COLUMNS_MAX] = { 0 };

		for (size_t c = 0; c < n && r == 0; c++) {
			r = cell(item, &columns[c], &cells[c]);
		}
		if (r == 0) {
			r = table_row(t, (const char *const *)cells);
		}
		for (size_t c = 0; c < n; c++) {
			free(cells[c]);
		}
		if (r < 0) {
			break;
		}
	}
	if (r < 0) {
		return r;
	}
	table_print(t, stdout, cli->color);
	return 0;
}

int view_items(const struct cli *cli, const struct args *args, const json_t *items,
	       const struct view_column *columns)
{
	return args_has(args, "json") ? cli_print_json(items) : view_list(cli, items, columns);
}

int view_listing(struct cli *cli, const struct args *args, view_get_fn get, const char *path,
		 const struct view_column *columns, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *items = NULL;
	int r = get(cli, path, &items, fault);

	return r < 0 ? r : view_items(cli, args, items, columns);
}

int view_object(const struct cli *cli, const json_t *object, const struct view_column *columns)
{
	const char *bold = cli->color ? "\033[1m" : "", *plain = cli->color ? "\033[0m" : "";
	size_t width = 0;

	for (const struct view_column *c = columns; c->header; c++) {
		width = MAX(width, strlen(c->header));
	}
	for (const struct view_column *c = columns; c->header; c++) {
		_cleanup_free_ char *text = NULL;
		_cleanup_free_ char *clean = NULL;
		int r = cell(object, c, &text);

		if (r < 0) {
			return r;
		}
		clean = text_clean(text && text[0] ? text : "-");
		if (!clean) {
			return -ENOMEM;
		}
		printf("%s%-*s%s  %s\n", bold, (int)width, c->header, plain, clean);
	}
	return 0;
}

int view_parse_time(const char *s, usec_t *ret)
{
	struct tm tm = { 0 };
	const char *end = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	usec_t fraction = 0;

	if (!end) {
		return -EINVAL;
	}
	if (*end == '.') {
		usec_t unit = USEC_PER_SEC / 10;

		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10) {
			fraction += (usec_t)(*end - '0') * unit;
		}
	}
	if (strcmp(end, "Z") != 0) {
		return -EINVAL;
	}
	*ret = (usec_t)timegm(&tm) * USEC_PER_SEC + fraction;
	return 0;
}

char *view_time(const json_t *value)
{
	usec_t at;
	time_t then, now = time(NULL);
	struct tm tm, today;
	char text[64];

	if (view_parse_time(json_string_value(value), &at) < 0) {
		return strdup("?");
	}
	then = (time_t)(at / USEC_PER_SEC);
	localtime_r(&then, &tm);
	localtime_r(&now, &today);
	strftime(text, sizeof(text),
		 tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday ? "%H:%M:%S"
									    : "%Y-%m-%d %H:%M:%S",
		 &tm);
	return strdup(text);
}

char *view_duration(uint64_t s)
{
	if (s < 60) {
		return strf("%" PRIu64 "s", s);
	}
	if (s < 3600) {
		return strf("%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	}
	if (s < 86400) {
		return strf("%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	}
	return strf("%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
}

char *view_lease(const json_t *value)
{
	usec_t at, now = clock_realtime();

	if (view_parse_time(json_string_value(value), &at) < 0) {
		return strdup("?");
	}
	return at <= now ? strdup("over") : view_duration((at - now) / USEC_PER_SEC);
}

char *view_size(const json_t *value)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double n = json_number_value(value);
	size_t u = 0;

	while (n >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		n /= 1024;
		u++;
	}
	return strf(u == 0 || n >= 100 ? "%.0f %s" : "%.1f %s", n, units[u]);
}

char *view_id(const json_t *value)
{
	const char *s = json_string_value(value);

	return s ? strndup(s, 12) : strdup("?");
}

char *view_names(const json_t *value)
{
	_cleanup_(buf_fini) struct buf b;
	const json_t *item;
	size_t i;
	int r = 0;

	buf_init(&b, 65536);
	json_array_foreach((json_t *)value, i, item)
	{
		const char *s =
			json_is_object(item) ? json_text(item, "name") : json_string_value(item);

		r = buf_printf(&b, "%s%s", i ? ", " : "", s ? s : "?");
		if (r < 0) {
			return NULL;
		}
	}
	return strndup(buf_len(&b) ? (const char *)buf_data(&b) : "", buf_len(&b));
}

char *view_lines(const json_t *array, json_t *(*line)(const json_t *item))
{
	_cleanup_(json_decrefp) json_t *lines = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)array, i, item)
	{
		if (json_array_append_new(lines, line(item)) < 0) {
			return NULL;
		}
	}
	return view_names(lines);
}
