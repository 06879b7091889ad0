package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

import org.legodnn.internal.json.Bounds;

/** A segment and its options: several for a block, one for a fixed segment. */
public final class BlockRows {
    final String name;
    final List<OptionRow> options;
    final List<List<Double>> interaction;

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

    /** Throw a WorkloadException if a figure makes no sense; `where` names the segment. */
    void check(String where) {
        if (options.isEmpty()) {
            throw new WorkloadException(where + " has no options");
        }
        if (options.size() > Bounds.OPTIONS) {
            throw new WorkloadException(where + " has " + options.size() + " options; at most "
                    + Bounds.OPTIONS + " are planned");
        }
        List<String> names = new ArrayList<>();
        for (OptionRow option : options) {
            names.add(option.name);
        }
        Figures.checkDistinct(names, where + " has two options called");
        for (OptionRow option : options) {
            String place = where + "/" + option.name;
            if (option.latencyMs.isEmpty()) {
                throw new WorkloadException(place + " has no latency; " + Profile.REMEDY);
            }
            Figures.checkRange(option.memoryBytes, place + ": memory_bytes", 0, Figures.MOST_BYTES);
            Figures.checkFinite(option.loss, place + ": loss");
            Figures.checkRange(option.bytes, place + ": bytes", 0, Figures.MOST_BYTES);
            Figures.checkRange(option.loadMs, place + ": load_ms", 0, Figures.MOST_MS);
            for (Map.Entry<Integer, Double> entry : option.latencyMs.entrySet()) {
                if (entry.getKey() < 1) {
                    throw new WorkloadException(place + ": thread count " + entry.getKey() + " is less than 1");
                }
                Figures.checkRange(entry.getValue(), place + ": latency_ms with " + entry.getKey() + " threads", 0,
                        Figures.MOST_MS);
            }
        }
    }

    /** The same of the interaction with a block of `before` options; 0 for none. */
    void checkInteraction(String where, int before) {
        if (!isInteraction(interaction, before, options.size())) {
            throw new WorkloadException(where + ": interaction must have a row for each option of the block before and"
                    + " a column for each option");
        }
        for (List<Double> row : interaction) {
            for (double value : row) {
                Figures.checkFinite(value, where + ": interaction");
            }
        }
    }

    /** Whether an interaction is empty, or has a row for each of `before` options and a column for each of its own. */
    static boolean isInteraction(List<List<Double>> interaction, int before, int options) {
        boolean sound = interaction.isEmpty() || interaction.size() == before;
        for (List<Double> row : interaction) {
            sound &= row.size() == options;
        }
        return sound;
    }

    /** Unique in the model. */
    public String name() {
        return name;
    }

    /** At least one. */
    public List<OptionRow> options() {
        return options;
    }

    /**
     * The loss that each option adds beyond its own, depending on the option of the block before (rows: options of that
     * block, columns: options of this one); empty if unknown, and for the first block.
     */
    public List<List<Double>> interaction() {
        return interaction;
    }
}
