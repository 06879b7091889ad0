package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import org.jspecify.annotations.Nullable;

/** What one segment is to run. */
final class Choice {
    final String segment;
    final String option;
    final int threads;

    Choice(String segment, String option, int threads) {
        this.segment = segment;
        this.option = option;
        this.threads = threads;
    }

    /** A plan's option for every segment of a store; fixed segments have only one. Empty if suspended. */
    static List<Choice> of(Store store, ModelPlan plan) {
        List<Choice> choices = new ArrayList<>();
        if (!plan.suspended) {
            for (Segment segment : store.manifest().segments) {
                String option = segment.block ? plan.options.get(segment.name) : segment.original().name;
                choices.add(new Choice(segment.name, option, plan.threads));
            }
        }
        return Collections.unmodifiableList(choices);
    }

    @Override
    public boolean equals(@Nullable Object other) {
        if (!(other instanceof Choice)) {
            return false;
        }
        Choice choice = (Choice) other;
        return segment.equals(choice.segment) && option.equals(choice.option) && threads == choice.threads;
    }

    @Override
    public int hashCode() {
        return (segment.hashCode() * 31 + option.hashCode()) * 31 + threads;
    }

    @Override
    public String toString() {
        return segment + "=" + option;
    }
}
