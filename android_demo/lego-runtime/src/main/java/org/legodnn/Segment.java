package org.legodnn;

import java.util.ArrayList;
import java.util.List;

/**
 * A piece of the model that is loaded as one: a block has several options to choose from, a fixed piece exactly one.
 */
public final class Segment {
    /** Unique in the store. */
    public final String name;
    /** Whether it is a block. */
    public final boolean block;
    /** Names of the tensors that it reads, in the order of its files' inputs. */
    public final List<String> inputs;
    /** Names of the tensors that it writes, in the order of its files' outputs. */
    public final List<String> outputs;
    /** At least one. */
    public final List<Option> options;
    /**
     * What each option adds to the loss beyond its own, by the option of the block before it (rows: options there,
     * columns: options here); empty where there is none, as for the first block.
     */
    public final List<List<Double>> interaction;

    Segment(String name, boolean block, List<String> inputs, List<String> outputs, List<Option> options,
            List<List<Double>> interaction) {
        this.name = name;
        this.block = block;
        this.inputs = inputs;
        this.outputs = outputs;
        this.options = options;
        this.interaction = interaction;
    }

    /** The first option: unpruned and in float32 where a model was built, the most accurate of whole files. */
    public Option original() {
        return options.get(0);
    }

    /**
     * The option of a name.
     *
     * @throws StoreException there is none
     */
    public Option option(String wanted) {
        List<String> names = new ArrayList<>();
        for (Option option : options) {
            if (option.name.equals(wanted)) {
                return option;
            }
            names.add(option.name);
        }
        throw new StoreException("segment " + name + " has no option '" + wanted + "'; it has " + Text.list(names));
    }
}
