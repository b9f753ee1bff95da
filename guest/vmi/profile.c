/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many stacks as one tree.
 *
 * Theory of operation: nodes lie in one array and name each other by index; a node has its name,
 * how many samples ended in it and how many passed. Children are a list, for a function calls few
 * others.
 */
#include "profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX
#define SVG_WIDTH 1200.0
#define SVG_ROW 17
#define SVG_HEAD 34
#define SVG_LETTER 7.0
#define SVG_LEAST 0.3 /* pixels: narrower ones are not drawn */

struct node {
	char name[PROFILE_NAME_MAX];
	uint32_t child, next; /* NONE: none */
	uint64_t self, total;
};

struct profile {
	struct node *nodes; /* the first one is the root: all samples */
	size_t n, room;
};

static uint32_t node_new(struct profile *p, const char *name)
{
	struct node *node;

	if (p->n == PROFILE_NODES_MAX) {
		return NONE;
	}
	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct node *more = realloc(p->nodes, room * sizeof(*more));

		if (!more) {
			return NONE;
		}
		p->nodes = more;
		p->room = room;
	}
	node = &p->nodes[p->n];
	*node = (struct node){ .child = NONE, .next = NONE };
	snprintf(node->name, sizeof(node->name), "%s", name);
	return (uint32_t)p->n++;
}

int profile_new(struct profile **ret)
{
	struct profile *p = calloc(1, sizeof(*p));

	if (!p || node_new(p, "all") == NONE) {
		profile_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct profile *profile_free(struct profile *p)
{
	if (p) {
		free(p->nodes);
		free(p);
	}
	return NULL;
}

static uint32_t child_of(struct profile *p, uint32_t parent, const char *name)
{
	char cut[PROFILE_NAME_MAX];
	uint32_t at;

	snprintf(cut, sizeof(cut), "%s", name);
	for (at = p->nodes[parent].child; at != NONE; at = p->nodes[at].next) {
		if (strcmp(p->nodes[at].name, cut) == 0) {
			return at;
		}
	}
	at = node_new(p, cut);
	if (at != NONE) {
		p->nodes[at].next = p->nodes[parent].child;
		p->nodes[parent].child = at;
	}
	return at;
}

int profile_add(struct profile *p, const char *const *names, size_t n)
{
	uint32_t at = 0;
	int r = 0;

	p->nodes[0].total++;
	for (size_t i = 0; i < MIN(n, (size_t)PROFILE_DEPTH_MAX); i++) {
		uint32_t child = child_of(p, at, names[i]);

		if (child == NONE) {
			r = p->n == PROFILE_NODES_MAX ? -ENOSPC : -ENOMEM;
			break;
		}
		p->nodes[child].total++;
		at = child;
	}
	p->nodes[at].self++;
	return r;
}

uint64_t profile_samples(const struct profile *p)
{
	return p->nodes[0].total;
}

/* ---- walks ---- */

struct walker {
	const struct profile *p;
	const char *names[PROFILE_DEPTH_MAX + 1];
	void (*each)(const char *const *names, size_t n, uint64_t samples, void *user);
	void *user;
};

static void walk(struct walker *w, uint32_t at, size_t depth)
{
	const struct node *node = &w->p->nodes[at];

	if (depth > 0) {
		w->names[depth - 1] = node->name;
	}
	if (node->self > 0) {
		w->each(w->names, depth, node->self, w->user);
	}
	for (uint32_t child = node->child; child != NONE; child = w->p->nodes[child].next) {
		walk(w, child, depth + 1);
	}
}

void profile_each(const struct profile *p,
		  void (*each)(const char *const *names, size_t n, uint64_t samples, void *user),
		  void *user)
{
	struct walker w = { .p = p, .each = each, .user = user };

	walk(&w, 0, 0);
}

struct gather {
	struct profile_line *lines;
	size_t n, max;
};

static struct profile_line *line_of(struct gather *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++) {
		if (strcmp(g->lines[i].name, name) == 0) {
			return &g->lines[i];
		}
	}
	if (g->n == g->max) {
		return NULL;
	}
	g->lines[g->n] = (struct profile_line){ .self = 0 };
	snprintf(g->lines[g->n].name, sizeof(g->lines[g->n].name), "%s", name);
	return &g->lines[g->n++];
}

static void gather_stack(const char *const *names, size_t n, uint64_t samples, void *user)
{
	struct gather *g = user;

	for (size_t i = 0; i < n; i++) {
		struct profile_line *line = line_of(g, names[i]);
		bool again = false;

		for (size_t j = 0; j < i; j++) {
			again |= strcmp(names[j], names[i]) == 0;
		}
		if (line && !again) {
			line->total += samples;
		}
		if (line && i + 1 == n) {
			line->self += samples;
		}
	}
}

static int compare(const void *a, const void *b)
{
	const struct profile_line *first = a, *second = b;

	if (first->self != second->self) {
		return first->self > second->self ? -1 : 1;
	}
	if (first->total != second->total) {
		return first->total > second->total ? -1 : 1;
	}
	return strcmp(first->name, second->name);
}

size_t profile_lines(const struct profile *p, struct profile_line *lines, size_t max)
{
	struct gather g = { lines, 0, max };

	profile_each(p, gather_stack, &g);
	qsort(lines, g.n, sizeof(*lines), compare);
	return g.n;
}

/* ---- the picture ---- */

static size_t depth_of(const struct profile *p, uint32_t at)
{
	size_t deepest = 0;

	for (uint32_t child = p->nodes[at].child; child != NONE; child = p->nodes[child].next) {
		deepest = MAX(deepest, depth_of(p, child));
	}
	return deepest + 1;
}

static void escaped(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len && text[i]; i++) {
		switch (text[i]) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f
				      ? '?'
				      : text[i],
			      out);
		}
	}
}

static void draw(const struct profile *p, FILE *out, uint32_t at, double x, size_t row,
		 size_t height)
{
	const struct node *node = &p->nodes[at];
	double width = SVG_WIDTH * (double)node->total / (double)p->nodes[0].total;
	size_t letters = width > 2 * SVG_LETTER ? (size_t)(width / SVG_LETTER) - 1 : 0;
	size_t y = height - (row + 1) * SVG_ROW;
	unsigned shade = 0;

	if (width < SVG_LEAST) {
		return;
	}
	for (const char *c = node->name; *c; c++) { /* the same function, the same color */
		shade = shade * 31 + (unsigned char)*c;
	}
	fprintf(out, "<g><title>");
	escaped(out, node->name, PROFILE_NAME_MAX);
	fprintf(out,
		": %" PRIu64 " of %" PRIu64 " samples, %.1f%%</title><rect x=\"%.1f\" y=\"%zu\" "
		"width=\"%.1f\" height=\"%d\" fill=\"hsl(%u,75%%,%u%%)\"/>",
		node->total, p->nodes[0].total,
		100.0 * (double)node->total / (double)p->nodes[0].total, x, y, width, SVG_ROW - 1,
		10 + shade % 40, 55 + shade / 40 % 15);
	if (letters > 0) {
		fprintf(out, "<text x=\"%.1f\" y=\"%zu\">", x + 3, y + 12);
		escaped(out, node->name, letters);
		fprintf(out, "</text>");
	}
	fprintf(out, "</g>\n");
	for (uint32_t child = node->child; child != NONE; child = p->nodes[child].next) {
		draw(p, out, child, x, row + 1, height);
		x += SVG_WIDTH * (double)p->nodes[child].total / (double)p->nodes[0].total;
	}
}

void profile_svg(const struct profile *p, FILE *out, const char *title)
{
	size_t height = depth_of(p, 0) * SVG_ROW + SVG_HEAD;

	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%zu\" "
		"font-family=\"monospace\" font-size=\"11\">\n<rect width=\"100%%\" "
		"height=\"100%%\" fill=\"#fdfdfd\"/>\n<text x=\"8\" y=\"20\" font-size=\"14\">",
		SVG_WIDTH, height);
	escaped(out, title, 200);
	fprintf(out, "</text>\n");
	if (p->nodes[0].total > 0) {
		draw(p, out, 0, 0, 0, height);
	}
	fprintf(out, "</svg>\n");
}
