package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A segment and its options: several for a block, one for a fixed segment. */
public final class BlockRows {
    /** Unique in the model. */
    public final String name;
    /** At least one. */
    public final List<OptionRow> options;
    /**
     * The loss that each option adds beyond its own, depending on the option of the block before (rows: options of that
     * block, columns: options of this one); empty if unknown, and for the first block.
     */
    public final List<List<Double>> interaction;

    /**
     * A segment without interaction.
     *
     * @param name unique in the model
     * @param options at least one
     */
    public BlockRows(String name, List<OptionRow> options) {
        this(name, options, Collections.<List<Double>>emptyList());
    }

    /**
     * @param name unique in the model
     * @param options at least one
     * @param interaction see {@link #interaction}
     */
    public BlockRows(String name, List<OptionRow> options, List<List<Double>> interaction) {
        this.name = name;
        this.options = Collections.unmodifiableList(new ArrayList<>(options));
        List<List<Double>> rows = new ArrayList<>();
        for (List<Double> row : interaction) {
            rows.add(Collections.unmodifiableList(new ArrayList<>(row)));
        }
        this.interaction = Collections.unmodifiableList(rows);
    }

    /** Whether an interaction is empty, or has a row for each of `before` options and a column for each of its own. */
    static boolean isInteraction(List<List<Double>> interaction, int before, int options) {
        boolean sound = interaction.isEmpty() || interaction.size() == before;
        for (List<Double> row : interaction) {
            sound &= row.size() == options;
        }
        return sound;
    }
}
