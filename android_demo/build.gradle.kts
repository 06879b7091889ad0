import com.android.build.api.dsl.LibraryExtension

plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.android) apply false
}

val versions = libs.versions

// How the libraries are published, each under its project's name; its description says what it is. All that building them
// takes is in their own build files, so that other projects can include them.
subprojects {
    plugins.withId("com.android.library") {
        extensions.configure<LibraryExtension> {
            publishing.singleVariant("release") {
                withSourcesJar()
                withJavadocJar()
            }
        }
    }
    plugins.withId("maven-publish") {
        extensions.configure<PublishingExtension> {
            publications.register<MavenPublication>("release") {
                groupId = "org.legodnn"
                artifactId = project.name
                version = versions.library.get()
                afterEvaluate { from(components["release"]) }
                pom {
                    name = project.name
                    description = provider { project.description }
                    licenses {
                        license {
                            name = "Apache-2.0"
                            url = "https://www.apache.org/licenses/LICENSE-2.0"
                        }
                    }
                }
            }
        }
    }
}
