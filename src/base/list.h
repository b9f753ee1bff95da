/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list, circular with a head, as in the kernel. */
#pragma once

#include <stdbool.h>

#include "macro.h"

struct list {
	struct list *prev, *next;
};

/* clang-format off */
#define LIST_INIT(l) { .prev = &(l), .next = &(l) }
/* clang-format on */

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Also right for an element that is in no list but was initialised. */
static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

#define list_for_each(pos, head, member)                                                           \
	for (pos = container_of((head)->next, __typeof__(*pos), member); &pos->member != (head);   \
	     pos = container_of(pos->member.next, __typeof__(*pos), member))

/* `pos` may be removed from the list and freed inside the loop; nothing else may. */
#define list_for_each_safe(pos, tmp, head, member)                                                 \
	for (pos = container_of((head)->next, __typeof__(*pos), member),                           \
	    tmp = container_of(pos->member.next, __typeof__(*pos), member);                        \
	     &pos->member != (head);                                                               \
	     pos = tmp, tmp = container_of(pos->member.next, __typeof__(*pos), member))
