/* SPDX-License-Identifier: Apache-2.0 */
/* What the relay tells the D-VM about its session. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "parse.h"

void config_fini(struct config *c)
{
	for (size_t i = 0; i < c->n_keys; i++) {
		free(c->keys[i]);
	}
	*c = (struct config){ 0 };
}

void config_reader_init(struct config_reader *r)
{
	*r = (struct config_reader){ 0 };
	buf_init(&r->line, CONFIG_LINE_MAX);
}

void config_reader_fini(struct config_reader *r)
{
	buf_fini(&r->line);
	config_fini(&r->next);
}

/* Names go into paths, prompts and JSON: nothing but these characters. */
static bool word_valid(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= CONFIG_NAME_MAX || !isalnum((unsigned char)s[0])) {
		return false;
	}
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s)) {
			return false;
		}
	}
	return true;
}

static int take_name(char *to, const char *value)
{
	if (!word_valid(value)) {
		return -EINVAL;
	}
	strcpy(to, value);
	return 0;
}

static int take_session(struct config *c, char *value)
{
	return take_name(c->session, value);
}

static int take_hostname(struct config *c, char *value)
{
	return take_name(c->hostname, value);
}

static int take_key(struct config *c, char *value)
{
	if (c->n_keys == CONFIG_KEYS_MAX || !text_valid(value, CONFIG_LINE_MAX)) {
		return -EINVAL;
	}
	c->keys[c->n_keys] = strdup(value);
	if (!c->keys[c->n_keys]) {
		return -ENOMEM;
	}
	c->n_keys++;
	return 0;
}

static int take_clock(struct config *c, char *value)
{
	uint64_t sec, usec = 0;
	char *dot = strchr(value, '.');

	if (dot) {
		*dot = '\0';
		if (strlen(dot + 1) != 6 || parse_u64(dot + 1, &usec) < 0) {
			return -EINVAL;
		}
	}
	if (parse_u64(value, &sec) < 0 || sec > INT64_MAX / USEC_PER_SEC) {
		return -EINVAL;
	}
	c->clock = sec * USEC_PER_SEC + usec;
	return 0;
}

static int take_seed(struct config *c, char *value)
{
	if (hex_decode(value, c->seed, sizeof(c->seed)) < 0) {
		return -EINVAL;
	}
	c->has_seed = true;
	return 0;
}

static int take_lease(struct config *c, char *value)
{
	uint32_t sec;

	if (parse_u32(value, &sec) < 0) {
		return -EINVAL;
	}
	c->lease_until = clock_monotonic() + sec * USEC_PER_SEC;
	return 0;
}

static int take_target(struct config *c, char *value)
{
	char *name = strchr(value, ' ');
	uint32_t n;

	if (!name) {
		return -EINVAL;
	}
	*name++ = '\0';
	if (parse_u32(value, &n) < 0 || n >= CONFIG_TARGETS_MAX) {
		return -EINVAL;
	}
	return take_name(c->targets[n], name);
}

static int take_stack(struct config *c, char *value)
{
	if (c->n_stacks == CONFIG_STACKS_MAX || take_name(c->stacks[c->n_stacks], value) < 0) {
		return -EINVAL;
	}
	c->n_stacks++;
	return 0;
}

static bool port_name_valid(const char *s)
{
	size_t prefix = strncmp(s, "serial", 6) == 0 ? 6 : strncmp(s, "parallel", 8) == 0 ? 8 : 0;

	return prefix > 0 && isdigit((unsigned char)s[prefix]) && s[prefix + 1] == '\0';
}

static bool place_valid(const char *s)
{
	size_t prefix = strncmp(s, "pci ", 4) == 0 ? 4 : strncmp(s, "virtio ", 7) == 0 ? 7 : 0;
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-";

	return prefix > 0 && strlen(s) < CONFIG_PLACE_MAX && isalnum((unsigned char)s[prefix]) &&
	       strspn(s + prefix, chars) == strlen(s + prefix);
}

static int take_port(struct config *c, char *value)
{
	char *name = strchr(value, ' '), *place = name ? strchr(name + 1, ' ') : NULL;
	struct config_port *port = &c->ports[c->n_ports];
	uint32_t n;

	if (!place || c->n_ports == CONFIG_PORTS_MAX) {
		return -EINVAL;
	}
	*name++ = '\0';
	*place++ = '\0';
	if (parse_u32(value, &n) < 0 || n >= CONFIG_TARGETS_MAX || !port_name_valid(name) ||
	    !place_valid(place)) {
		return -EINVAL;
	}
	port->target = n;
	strcpy(port->name, name);
	strcpy(port->place, place);
	c->n_ports++;
	return 0;
}

static const struct {
	const char *word;
	int (*take)(struct config *c, char *value);
} words[] = {
	{ "session", take_session }, { "hostname", take_hostname }, { "key", take_key },
	{ "clock", take_clock },     { "seed", take_seed },	    { "lease", take_lease },
	{ "target", take_target },   { "stack", take_stack },	    { "port", take_port },
};

/* 1 at `end`, 0, -ENOMEM. */
static int take_line(struct config *c, char *line)
{
	char *value;

	if (strcmp(line, "end") == 0) {
		return 1;
	}
	value = strchr(line, ' ');
	if (!value) {
		return 0;
	}
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(line, words[i].word) == 0) {
			return words[i].take(c, value) == -ENOMEM ? -ENOMEM : 0;
		}
	}
	return 0;
}

int config_reader_input(struct config_reader *r, const uint8_t *p, size_t len, struct config *ret,
			size_t *ret_used)
{
	size_t used = 0;

	while (used < len) {
		const uint8_t *newline = memchr(p + used, '\n', len - used);
		size_t n = newline ? (size_t)(newline - p) - used : len - used;
		int result = 0;

		if (!r->skipping) {
			int r2 = buf_append(&r->line, p + used, n);

			if (r2 == -ENOMEM) {
				return r2;
			}
			r->skipping = r2 < 0;
		}
		used += n;
		if (!newline) {
			break;
		}
		used++;
		if (!r->skipping) {
			result = buf_append(&r->line, "", 1);
			if (result == 0) {
				result = take_line(&r->next, (char *)buf_data(&r->line));
			} else if (result == -ENOBUFS) {
				result = 0;
			}
		}
		buf_clear(&r->line);
		r->skipping = false;
		if (result < 0) {
			return result;
		}
		if (result > 0) {
			*ret = r->next;
			r->next = (struct config){ 0 };
			*ret_used = used;
			return 1;
		}
	}
	*ret_used = used;
	return 0;
}
