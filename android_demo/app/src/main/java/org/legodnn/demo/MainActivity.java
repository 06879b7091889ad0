package org.legodnn.demo;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.DialogInterface;
import android.content.Intent;
import android.os.Bundle;
import android.text.SpannableStringBuilder;
import android.text.Spanned;
import android.text.format.DateUtils;
import android.text.style.ForegroundColorSpan;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.widget.Button;
import android.widget.CheckBox;
import android.widget.SeekBar;
import android.widget.TextView;
import java.text.DateFormat;
import java.text.ParseException;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import org.legodnn.Budget;
import org.legodnn.ProfilerOptions;

/** The demo's screen: two models, a slider for each limit, what is predicted and measured of the plan. */
public final class MainActivity extends Activity implements Engine.Listener, SeekBar.OnSeekBarChangeListener {
    static final String ROUNDS = "rounds";
    static final String WEIGHINGS = "weighings";

    private static final double MB = 1e6;

    private Engine engine;
    private Ready ready;
    private boolean profiling;
    private final Map<String, View> cards = new LinkedHashMap<>();

    private SeekBar memory;
    private SeekBar latency;
    private CheckBox follow;
    private DigitPad pad;
    private Button profile;
    private Button share;
    /** The last that was shown; null if none was. */
    private AlertDialog dialog;

    @Override
    protected void onCreate(Bundle saved) {
        super.onCreate(saved);
        setContentView(R.layout.main);
        memory = findViewById(R.id.memory);
        latency = findViewById(R.id.latency);
        follow = findViewById(R.id.follow);
        profile = findViewById(R.id.profile);
        share = findViewById(R.id.share);
        memory.setOnSeekBarChangeListener(this);
        latency.setOnSeekBarChangeListener(this);
        profile.setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                profiling = true;
                enable();
                engine.profile();
            }
        });
        share.setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                chooseProfile();
            }
        });
        pad = findViewById(R.id.pad);
        pad.setListener(digit -> engine.recognise(digit));
        this.<TextView>findViewById(R.id.legend).setText(legend());
        Retained retained = (Retained) getLastNonConfigurationInstance();
        engine = retained == null ? new Engine(this, profilerOptions()) : retained.engine;
        profiling = retained != null && retained.profiling;
    }

    /** Longer or shorter by `adb shell am start -n org.legodnn.demo/.MainActivity --ei rounds 500`. */
    private ProfilerOptions profilerOptions() {
        ProfilerOptions usual = ProfilerOptions.DEFAULTS;
        return usual.withRounds(getIntent().getIntExtra(ROUNDS, usual.rounds()))
                .withWeighings(getIntent().getIntExtra(WEIGHINGS, usual.weighings()));
    }

    /** What outlives a rotation. */
    private static final class Retained {
        final Engine engine;
        final boolean profiling;

        Retained(Engine engine, boolean profiling) {
            this.engine = engine;
            this.profiling = profiling;
        }
    }

    @Override
    public Object onRetainNonConfigurationInstance() {
        return new Retained(engine, profiling);
    }

    // After the sliders were put back to where they were.
    @Override
    protected void onPostCreate(Bundle saved) {
        super.onPostCreate(saved);
        follow.setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                engine.follow(follow.isChecked());
            }
        });
        if (follow.isChecked()) {
            engine.follow(true); // the engine may be new: Android ends apps that are not seen, and ticks the box again
        }
        engine.setListener(this);
    }

    @Override
    protected void onDestroy() {
        if (dialog != null) {
            dialog.dismiss(); // else its window would outlive this activity
        }
        engine.setListener(null);
        if (!isChangingConfigurations()) {
            engine.close();
        }
        super.onDestroy();
    }

    // -- from the sliders ---------------------------------------------------------------------------------------------

    @Override
    public void onProgressChanged(SeekBar bar, int progress, boolean fromUser) {
        if (ready != null && !profiling) {
            applyBudget();
        }
    }

    @Override
    public void onStartTrackingTouch(SeekBar bar) {}

    @Override
    public void onStopTrackingTouch(SeekBar bar) {}

    private void applyBudget() {
        Budget budget = ready.limits.budget(memory.getProgress(), latency.getProgress());
        text(R.id.memory_label, budget.memoryBytes() == null
                ? getString(R.string.memory_unlimited)
                : getString(R.string.memory_limit, budget.memoryBytes() / MB));
        text(R.id.latency_label, budget.latencyMs() == null
                ? getString(R.string.latency_unlimited)
                : getString(R.string.latency_limit, budget.latencyMs(), budget.quantile() * 100));
        engine.setBudget(budget);
    }

    // -- from the engine ----------------------------------------------------------------------------------------------

    @Override
    public void onReady(Ready now) {
        ready = now;
        note("", R.color.text_dim);
        enable();
        applyBudget();
    }

    /** On what predictions were measured, and what profiling came to. */
    private void note(String profiled, int colour) {
        String note = ready.own
                ? getString(R.string.own_profile, date(ready.profile.created()))
                : getString(R.string.packed_profile, ready.profile.device().cpu());
        TextView view = findViewById(R.id.note);
        view.setText((ready.runs ? "" : getString(R.string.no_native) + "\n") + note
                + (profiled.isEmpty() ? "" : "\n" + profiled));
        view.setTextColor(getColor(colour));
    }

    @Override
    public void onScreen(Screen screen) {
        for (Screen.Model model : screen.models) {
            show(model);
        }
        TextView status = findViewById(R.id.status);
        status.setText(screen.problem == null
                ? getString(R.string.plan_holds)
                : screen.problem);
        status.setTextColor(getColor(screen.problem == null ? R.color.text : R.color.problem));
        text(R.id.switched, switched(screen));
        text(R.id.total_memory, getString(R.string.total_memory, screen.memoryBytes / MB, screen.measuredBytes == null
                ? getString(runs() ? R.string.measuring : R.string.not_measured)
                : getString(R.string.memory_value, screen.measuredBytes / MB)));
        follow.setText(screen.spareBytes == null
                ? getString(R.string.follow)
                : getString(R.string.follow_limit, screen.spareBytes / MB));
    }

    private String switched(Screen screen) {
        if (screen.switched == 0) {
            return getString(R.string.switched_none, screen.planMs);
        }
        return runs()
                ? getResources().getQuantityString(
                        R.plurals.switched, screen.switched, screen.switched, screen.planMs, screen.switchMs)
                : getString(R.string.planned, screen.planMs);
    }

    private boolean runs() {
        return ready != null && ready.runs;
    }

    private void show(Screen.Model model) {
        View card = cards.get(model.name);
        if (card == null) {
            ViewGroup models = findViewById(R.id.models);
            card = getLayoutInflater().inflate(R.layout.model, models, false);
            models.addView(card);
            cards.put(model.name, card);
        }
        text(card, R.id.name, model.suspended ? getString(R.string.suspended, model.name) : model.name);
        card.<BlocksView>findViewById(R.id.blocks).show(model.name, model.chain, model.suspended);
        text(card, R.id.accuracy_predicted,
                getString(R.string.accuracy_predicted, model.accuracy, model.accuracyError));
        text(card, R.id.latency_predicted, getString(R.string.latency_value, model.latencyMs));
        text(card, R.id.memory_predicted, getString(R.string.memory_value, model.memoryBytes / MB));
        text(card, R.id.accuracy_original, getString(R.string.accuracy_measured, model.original.accuracy));
        text(card, R.id.latency_original, getString(R.string.latency_value, model.original.latencyMs));
        text(card, R.id.memory_original, getString(R.string.memory_value, model.original.memoryBytes / MB));
        String pending = getString(runs() && !model.suspended ? R.string.measuring : R.string.not_measured);
        text(card, R.id.accuracy_measured, model.measured == null
                ? pending : getString(R.string.accuracy_measured, model.measured.accuracy));
        text(card, R.id.latency_measured, model.measured == null
                ? pending : getString(R.string.latency_value, model.measured.latencyMs));
        text(card, R.id.memory_measured, model.measured == null
                ? pending : getString(R.string.memory_value, model.measured.memoryBytes / MB));
    }

    @Override
    public void onProfiling(String model, int done, int total) {
        profiling = true;
        enable();
        status(getString(R.string.profiling, model, done, total), R.color.text);
    }

    @Override
    public void onProfiled(String failure, long seconds) {
        profiling = false;
        enable();
        note(failure == null
                ? getString(R.string.profiled, DateUtils.formatElapsedTime(seconds))
                : getString(R.string.profile_failed, failure),
                failure == null ? R.color.text_dim : R.color.problem);
    }

    @Override
    public void onRecognised(String words) {
        text(R.id.recognised, words);
    }

    @Override
    public void onFailed(String reason) {
        profiling = false;
        enable();
        status(getString(R.string.failed, reason), R.color.problem);
    }

    // -- profiles -----------------------------------------------------------------------------------------------------

    /** One profile is one file: ask whose, then hand its JSON to another app. */
    private void chooseProfile() {
        final Map<String, String> profiles = engine.ownProfiles();
        final List<String> names = new ArrayList<>();
        for (String model : profiles.keySet()) {
            names.add(model + ".profile.json");
        }
        if (names.isEmpty() || isFinishing()) {
            return;
        }
        dialog = new AlertDialog.Builder(this)
                .setTitle(R.string.share_title)
                .setItems(names.toArray(new String[0]), new DialogInterface.OnClickListener() {
                    @Override
                    public void onClick(DialogInterface dialog, int which) {
                        String json = new ArrayList<>(profiles.values()).get(which);
                        startActivity(Intent.createChooser(shareIntent(names.get(which), json), names.get(which)));
                    }
                })
                .show();
    }

    static Intent shareIntent(String title, String json) {
        return new Intent(Intent.ACTION_SEND)
                .setType("text/plain")
                .putExtra(Intent.EXTRA_SUBJECT, title)
                .putExtra(Intent.EXTRA_TEXT, json);
    }

    // -- views --------------------------------------------------------------------------------------------------------

    private void enable() {
        boolean can = ready != null && !profiling;
        if (profiling) { // a screen that goes off would slow the processors down
            getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        } else {
            getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        }
        memory.setEnabled(can);
        latency.setEnabled(can);
        follow.setEnabled(can);
        pad.setEnabled(can && ready.runs);
        profile.setEnabled(can && ready.runs);
        share.setEnabled(can && ready.own);
    }

    private CharSequence legend() {
        String square = "\u25a0";
        SpannableStringBuilder words =
                new SpannableStringBuilder(getString(R.string.legend, square, square, square, "\u25a1"));
        int[] colours = {R.color.float32, R.color.float16, R.color.int8};
        int at = 0;
        for (int colour : colours) {
            at = words.toString().indexOf(square, at);
            words.setSpan(new ForegroundColorSpan(getColor(colour)), at, at + 1, Spanned.SPAN_EXCLUSIVE_EXCLUSIVE);
            at++;
        }
        at = words.toString().indexOf("\u25a1");
        words.setSpan(
                new ForegroundColorSpan(getColor(R.color.switched)), at, at + 1, Spanned.SPAN_EXCLUSIVE_EXCLUSIVE);
        return words;
    }

    private void status(String words, int colour) {
        TextView status = findViewById(R.id.status);
        status.setText(words);
        status.setTextColor(getColor(colour));
    }

    private void text(int id, String words) {
        this.<TextView>findViewById(id).setText(words);
    }

    /** A profile's date as this device writes dates; as it stands where it is none. */
    static String date(String created) {
        try {
            SimpleDateFormat utc = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss", Locale.ROOT);
            utc.setTimeZone(TimeZone.getTimeZone("UTC"));
            Date when = utc.parse(created);
            return DateFormat.getDateTimeInstance(DateFormat.MEDIUM, DateFormat.SHORT).format(when);
        } catch (ParseException e) {
            return created;
        }
    }

    private static void text(View card, int id, String words) {
        card.<TextView>findViewById(id).setText(words);
    }
}
